//! `Prefer: wait=N` (RFC 7240).

use axum::http::HeaderMap;
use std::time::Duration;

/// Longest wait, in seconds, whatever is asked for.
pub(super) const WAIT_S_MAX: u64 = 60;

/// How long the client wants to wait for the outcome. A preference that cannot be understood is
/// ignored, and of several the first one counts, as RFC 7240 says.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| split(value, ','));
    let value = preferences.find_map(|preference| {
        let token = split(preference, ';').next().unwrap_or_default();
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        name.trim().eq_ignore_ascii_case("wait").then_some(value.trim())
    })?;
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let digits = unquoted.unwrap_or(value);
    // `parse` would take a sign.
    let seconds: u64 =
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(Duration::from_secs(seconds.min(WAIT_S_MAX)))
}

/// The parts of `text` between `separator`, but for those within a quoted string (RFC 9110, 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !is_escaped => escaped = true,
            '"' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_and_capped_and_nonsense_is_ignored() {
        for (values, expected) in [
            (&["wait=10"][..], Some(10)),
            (&["respond-async, WAIT = \"7\"; why=x"], Some(7)),
            (&["respond-async", "wait=3"], Some(3)),
            (&["wait=5, wait=9"], Some(5)),
            (&["wait=0"], Some(0)),
            (&["x=\"a, wait=9\", wait=4"], Some(4)),
            (&["x=\"a\\\", wait=9\"; y=\"; wait=8\", wait=4"], Some(4)),
            (&["x=\"a, wait=9"], None),
            (&["wait=3600"], Some(60)),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait=soon"], None),
            (&["wait"], None),
            (&["waiting=3"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            assert_eq!(wait(&headers), expected.map(Duration::from_secs), "{values:?}");
        }
    }
}
