//! Dead letters as people deal with them: what waits, by its cause, and one after another.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use contracts::{ServiceName, topics};
use serde::Serialize;
use streams::limits::clip;
use streams_kafka::dlq::{DeadLetter, LetterId, list};

/// So many letters of one cause are shown; all are counted.
const SHOWN_MAX: usize = 50;

/// The waiting dead letters of one service and one cause.
#[derive(Debug, Serialize)]
pub struct Cause {
    /// Whose they are.
    service: String,
    /// What they have in common: ids and numbers are left out.
    cause: String,
    /// All of them.
    count: usize,
    /// The latest of them.
    letters: Vec<Letter>,
}

/// A dead letter as the page shows it.
#[derive(Debug, Serialize)]
struct Letter {
    id: String,
    cause: String,
    /// `topic/partition/offset` of the record that it was.
    origin: String,
    since: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// The dead letters that wait, of every service. Blocks.
///
/// # Errors
/// When Kafka is away.
pub fn waiting(bootstrap: &str) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    for service in ServiceName::ALL {
        letters.extend(list(bootstrap, topics::dlq(service))?);
    }
    letters.retain(|letter| letter.done.is_none());
    Ok(letters)
}

/// The dead letter of this name, whatever was done about it. Blocks.
///
/// # Errors
/// When there is none, or Kafka is away.
pub fn find(bootstrap: &str, id: &LetterId) -> Result<DeadLetter> {
    let service: ServiceName = id.service.parse().map_err(anyhow::Error::msg)?;
    let mut letters = list(bootstrap, topics::dlq(service))?.into_iter();
    let found = letters.find(|letter| letter.id == *id);
    found.with_context(|| {
        format!("no dead letter {id}: `shop dlq list --all` shows those that are there")
    })
}

/// `letters` by their causes, those with most letters first.
#[must_use]
pub fn by_cause(letters: Vec<DeadLetter>) -> Vec<Cause> {
    let mut causes: BTreeMap<(String, String), Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        let key = (letter.id.service.clone(), kind(letter.cause()));
        causes.entry(key).or_default().push(letter);
    }
    let cause = |((service, cause), mut letters): ((String, String), Vec<DeadLetter>)| {
        letters.sort_by(|a, b| (b.time(), &b.id).cmp(&(a.time(), &a.id)));
        let shown = letters.iter().take(SHOWN_MAX).map(Letter::of).collect();
        Cause { service, cause, count: letters.len(), letters: shown }
    };
    let mut causes: Vec<_> = causes.into_iter().map(cause).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}

/// The cause without what differs from record to record: ids and numbers.
fn kind(cause: &str) -> String {
    let is_varying = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    let mut words = Vec::new();
    for word in cause.split(' ') {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        words.push(match is_varying(bare) {
            true => word.replace(bare, "…"),
            false => word.to_owned(),
        });
    }
    words.join(" ")
}

impl Letter {
    fn of(letter: &DeadLetter) -> Self {
        let text = |bytes: &[u8]| readable(bytes);
        let headers = letter.record.headers.0.iter();
        Self {
            id: letter.id.to_string(),
            cause: letter.cause().to_owned(),
            origin: letter.origin(),
            since: letter.time().to_owned(),
            key: letter.record.key.as_deref().map(text),
            value: letter.record.value.as_deref().map(text),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.as_deref().map(text)))
                .collect(),
        }
    }
}

/// Bytes as text where they are printable, else as a hex dump; of both the beginning.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    const SHOWN_TEXT_BYTES: usize = 2000;
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => match clip(text, SHOWN_TEXT_BYTES) {
            shown if shown.len() < text.len() => format!("{} bytes: {shown}...", bytes.len()),
            whole => whole.to_owned(),
        },
        _ => {
            let hex: String =
                bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
            let more = if bytes.len() > SHOWN_BYTES { "..." } else { "" };
            format!("{} bytes: {hex}{more}", bytes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_text_or_as_hex() {
        assert_eq!(readable(b"ada"), "ada");
        assert_eq!(readable(&[0, 0xff]), "2 bytes: 00ff");
        assert!(readable(&[0; 100]).ends_with("00..."));
        let long = readable(&[b'a'; 3000]);
        assert!(long.starts_with("3000 bytes: aaa") && long.ends_with("a..."));
    }

    #[test]
    fn letters_of_one_cause_differ_in_ids_and_numbers() {
        let one = kind("order 7d444840-9dc0-11d1-b245-5ffdce74fad2 is at version 4, not 2");
        assert_eq!(one, "order … is at version …, not …");
        assert_eq!(one, kind("order 00000000-9dc0-11d1-b245-5ffdce74fad2 is at version 1, not 9"));
        assert_ne!(one, kind("order … has no lines"));
    }
}
