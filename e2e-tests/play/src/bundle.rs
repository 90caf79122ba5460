//! One run as one file that needs no other: the modules of the page in one script, its styles, and
//! the tape. A policy in it names the script and the styles by their digests, and forbids all else.

use crate::{
    asked::Asked,
    files::{CSS, FILES, File, INDEX, JS, facts, json},
    tape::Tape,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What the file plays.
#[derive(Serialize)]
struct Recorded<'a> {
    asked: Address<'a>,
    tape: &'a Tape,
}

#[derive(Serialize)]
struct Address<'a> {
    seed: u64,
    orders: usize,
    mutation: &'a str,
    weather: &'a str,
    presses: &'a str,
    t: u64,
}

/// The file of a run.
pub(crate) fn file(asked: &Asked, tape: &Tape) -> serde_json::Result<String> {
    let (script, style) = (script(), style());
    let Asked { seed, orders, mutation, weather, presses, t } = asked;
    let address = Address { seed: *seed, orders: *orders, mutation, weather, presses, t: *t };
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; \
         form-action 'none'",
        digest(&script),
        digest(&style)
    );
    let icon = FILES.iter().find(|file| file.name == "icon.svg").map_or("", |file| file.text);
    let icon = format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(icon));
    let head = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <link rel=\"icon\" href=\"{icon}\">\n<style>{style}</style>"
    );
    let data = format!(
        "{}{}<script type=\"module\">{script}</script>",
        element("facts", &facts()?),
        element("recorded", &json(&Recorded { asked: address, tape })?)
    );
    Ok(page(&head, &data))
}

/// The page with this head and this data.
pub(crate) fn page(head: &str, data: &str) -> String {
    INDEX.replace("{head}", head).replace("{data}", data)
}

/// Data for the page.
pub(crate) fn element(id: &str, json: &str) -> String {
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n")
}

fn digest(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn style() -> String {
    let styles = FILES.iter().filter(|file| file.media_type == CSS);
    styles.map(|file| file.text).collect()
}

/// The modules in one script. Each is a function that answers what it exports, so that their names
/// do not meet; an import takes from that answer.
fn script() -> String {
    let mut script = String::from("const modules = {};\n");
    for File { name, text, .. } in FILES.iter().filter(|file| file.media_type == JS) {
        let mut exported = Vec::new();
        let _ = writeln!(script, "modules['./{name}'] = (() => {{");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("import ") {
                let (names, from) = rest.split_once(" from ").unwrap_or(("{}", rest));
                let from = from.trim_end_matches(';');
                let _ = writeln!(script, "const {names} = modules[{from}];");
            } else if let Some(rest) = line.strip_prefix("export ") {
                exported.extend(declared(rest));
                let _ = writeln!(script, "{rest}");
            } else {
                let _ = writeln!(script, "{line}");
            }
        }
        let _ = writeln!(script, "return {{ {} }};\n}})();", exported.join(", "));
    }
    script
}

/// The name that a declaration gives.
fn declared(declaration: &str) -> Option<String> {
    let mut words = declaration.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    let keywords = ["async", "function", "const", "let", "class"];
    words.find(|word| !word.is_empty() && !keywords.contains(word)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::Player;

    #[test]
    fn every_module_comes_after_those_that_it_imports_and_exports_by_name() {
        let mut known = Vec::new();
        for File { name, text, .. } in FILES.iter().filter(|file| file.media_type == JS) {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.split('\'').nth(1).unwrap().trim_start_matches("./");
                assert!(known.contains(&from), "{name}: {line}");
                assert!(line.contains('{') && line.ends_with("';"), "{name}: {line}");
            }
            for line in text.lines().filter(|line| line.starts_with("export ")) {
                assert!(!line.contains("default") && !line.contains("export {"), "{name}: {line}");
            }
            assert!(!text.contains("\nimport("), "{name}");
            known.push(*name);
        }
    }

    #[test]
    fn a_file_names_no_other_and_no_host() {
        let asked = Asked::read("seed=3&orders=2").unwrap();
        let tape = Player::default().record(&asked).unwrap();
        let file = file(&asked, &tape).unwrap();
        for other in ["src=", "<link rel=\"stylesheet", "https:", "import {"] {
            assert!(!file.contains(other), "{other}");
        }
        let hosts = file.replace("http://www.w3.org/2000/svg", "");
        assert!(!hosts.contains("http:"), "it names a host");
        assert_eq!(file.matches("</script>").count(), 3);
    }

    #[test]
    fn what_is_declared_is_found() {
        for (declaration, name) in [
            ("const h = (name) => 1;", "h"),
            ("async function look() {", "look"),
            ("class Refusal extends Error {", "Refusal"),
        ] {
            assert_eq!(declared(declaration).as_deref(), Some(name));
        }
    }
}
