//! `{{name}}` in a configuration file becomes the value of that name.

use anyhow::{Context, Result, bail};

/// Replaces every `{{name}}` in `text`; a name that `lookup` does not know is an error, because a
/// placeholder that reaches a server is a riddle in its log.
///
/// # Errors
/// When a placeholder is unknown or not closed.
pub(crate) fn render(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let after = &rest[start + 2..];
        let end = after.find("}}").context("a {{placeholder is not closed")?;
        let name = after[..end].trim();
        let Some(value) = lookup(name) else { bail!("unknown placeholder {{{{{name}}}}}") };
        out.push_str(&rest[..start]);
        out.push_str(&value);
        rest = &after[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_unknown_ones_refused() {
        let lookup = |name: &str| (name == "port.kafka").then(|| "9092".to_owned());
        assert_eq!(render("a={{port.kafka}}, {{ port.kafka }}", lookup).unwrap(), "a=9092, 9092");
        assert_eq!(render("${kept} {kept}", lookup).unwrap(), "${kept} {kept}");
        assert!(render("{{port.kafak}}", lookup).unwrap_err().to_string().contains("kafak"));
        assert!(render("{{port.kafka", lookup).is_err());
    }
}
