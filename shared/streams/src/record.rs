//! A [`Record`] that was read: owned, without Kafka's types.

use crate::{
    Failure,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX},
    topic::{Key, Topic},
};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::sync::Arc;

/// One record as it was read from a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where it was read.
    pub topic: Arc<str>,
    /// Which partition of it.
    pub partition: i32,
    /// Which record of the partition.
    pub offset: i64,
    /// When it was written, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl Record {
    /// Whether this record is on `topic`.
    pub fn is_on<K, V>(&self, topic: &Topic<K, V>) -> bool {
        &*self.topic == topic.name()
    }

    /// Whether `other` stands on the same partition.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.partition == other.partition && self.topic == other.topic
    }

    /// `topic/partition/offset`: the record's address, used as `causationid`.
    pub fn address(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        bytes(&self.key) + bytes(&self.value) + self.headers.size()
    }

    /// SHA-256 of key, value and headers, in hexadecimal digits: it tells this record from every
    /// other one that its address may have had.
    pub fn digest(&self) -> String {
        let mut sha = Sha256::new();
        let mut add = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
            sha.update(length.to_be_bytes());
            sha.update(bytes.unwrap_or_default());
        };
        add(self.key.as_deref());
        add(self.value.as_deref());
        for (name, value) in &self.headers.0 {
            add(Some(name.as_bytes()));
            add(value.as_deref());
        }
        sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The typed key.
    ///
    /// # Errors
    /// [`Failure::Poison`] when there is none, it has more than [`KEY_BYTES_MAX`], or it is not a
    /// `K`.
    pub fn key_as<K: Key>(&self) -> Result<K, Failure> {
        let bytes = self.key.as_deref().ok_or_else(|| Failure::poison("the record has no key"))?;
        let size = bytes.len();
        if size > KEY_BYTES_MAX {
            let cause = format!("a key has {KEY_BYTES_MAX} bytes at most, this one {size}");
            return Err(Failure::Poison(cause));
        }
        K::from_bytes(bytes).map_err(Failure::poison)
    }
}

/// Headers in their order; a name may repeat, the last one counts. One may have no value, which is
/// not the same as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers(pub Vec<Header>);

/// Name and value. A name of 23 bytes or less, as all of [`names`] are, is kept in place.
pub type Header = (SmolStr, Option<Vec<u8>>);

impl Headers {
    /// The last value of `name`, as text; none if it is not of the form that `name` has. A stranger
    /// may write a header: what is not well-formed is passed on to no table, request or record.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().rev().find(|(header, _)| header == name)?;
        let text = value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        text.filter(|text| is_well_formed(name, text))
    }

    /// Add a header.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((SmolStr::new(name), Some(value.into())));
    }

    /// Those that may be taken over: the first [`HEADERS_MAX`] of [`HEADER_BYTES_MAX`] at most.
    pub fn bounded(&self) -> Self {
        let fits = |header: &&Header| header_size(header) <= HEADER_BYTES_MAX;
        // One place more than it may need: the copy is often given a header.
        let mut bounded = Vec::with_capacity(self.0.len().min(HEADERS_MAX) + 1);
        bounded.extend(self.0.iter().filter(fits).take(HEADERS_MAX).cloned());
        Self(bounded)
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.0.iter().map(header_size).sum()
    }

    /// The writer of the record: `ce_source`.
    pub fn source(&self) -> Option<&str> {
        self.get(names::SOURCE)
    }

    /// The services that the fact has passed through: `lineage`.
    pub fn lineage(&self) -> Option<&str> {
        self.get(names::LINEAGE)
    }
}

fn header_size((name, value): &Header) -> usize {
    name.len() + value.as_ref().map_or(0, Vec::len)
}

/// Whether `text` can be the value of the header `name`.
fn is_well_formed(name: &str, text: &str) -> bool {
    match name {
        names::TRACEPARENT => is_traceparent(text),
        names::LINEAGE => text.split(" > ").all(is_visible),
        names::CORRELATION_ID | names::CAUSATION_ID => is_visible(text),
        names::CALLER_ID => is_visible(text) && text.len() <= CALLER_BYTES_MAX,
        _ if name.starts_with("ce_") => !text.chars().any(char::is_control),
        _ => true,
    }
}

/// Longest [`names::CALLER_ID`], in bytes: a role, a colon and a subject.
const CALLER_BYTES_MAX: usize = 160;

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// W3C Trace Context, 3.2: version, trace id, parent id and flags in lower-case hexadecimal digits.
/// A later version may add fields.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut next = |digits: usize| {
        let field = fields.next().unwrap_or_default();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (field.len() == digits && field.bytes().all(is_hex)).then_some(field)
    };
    let (version, trace, parent, flags) = (next(2), next(32), next(16), next(2));
    let is_some = |id: Option<&str>| id.is_some_and(|id| id.bytes().any(|byte| byte != b'0'));
    let more = fields.next();
    version.is_some_and(|version| version != "ff" && (version != "00" || more.is_none()))
        && is_some(trace)
        && is_some(parent)
        && flags.is_some()
        && is_visible(text)
}

/// Header names: CloudEvents' Kafka binding (binary mode), W3C trace context, and ours.
pub mod names {
    /// CloudEvents: the event's id.
    pub const ID: &str = "ce_id";
    /// CloudEvents: its writer, a service's name.
    pub const SOURCE: &str = "ce_source";
    /// CloudEvents: what happened, the event's name.
    pub const TYPE: &str = "ce_type";
    /// CloudEvents: when, RFC 3339.
    pub const TIME: &str = "ce_time";
    /// CloudEvents: about what, the record's key.
    pub const SUBJECT: &str = "ce_subject";
    /// CloudEvents: the version of its specification.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// What all records of one story share: the order id, or the id of the command that began it.
    pub const CORRELATION_ID: &str = "correlationid";
    /// `topic/partition/offset` of the record that caused this one.
    pub const CAUSATION_ID: &str = "causationid";
    /// The services that the fact has passed through, each with its version, oldest first.
    pub const LINEAGE: &str = "lineage";
    /// Who has asked for it at the edge, as the edge has believed: `customer:ada`. None in a shop
    /// that does not ask its callers.
    pub const CALLER_ID: &str = "callerid";

    /// All of them. A new one comes last: inputs of the fuzzer name them by their place.
    pub const ALL: [&str; 11] = [
        ID,
        SOURCE,
        TYPE,
        TIME,
        SUBJECT,
        SPEC_VERSION,
        TRACEPARENT,
        CORRELATION_ID,
        CAUSATION_ID,
        LINEAGE,
        CALLER_ID,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str, value: &[u8]) -> Option<String> {
        let mut headers = Headers::default();
        headers.push(name, value);
        headers.get(name).map(str::to_owned)
    }

    #[test]
    fn a_header_that_is_not_well_formed_is_none() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let later = format!("01{}-more", &trace[2..]);
        for good in [trace, &later] {
            assert_eq!(get(names::TRACEPARENT, good.as_bytes()).as_deref(), Some(good));
        }
        let longer = format!("{trace}-more");
        let none = trace.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let (upper, control) = (trace.to_uppercase(), format!("{trace}\n"));
        for bad in ["", "00-1-2-01", "\0", "ff", &longer, &none, &upper, &control, &trace[..54]] {
            assert_eq!(get(names::TRACEPARENT, bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(get(names::CALLER_ID, b"customer:ada").as_deref(), Some("customer:ada"));
        assert_eq!(get(names::CALLER_ID, "c".repeat(161).as_bytes()), None);
        for name in [names::LINEAGE, names::CORRELATION_ID, names::CAUSATION_ID, names::CALLER_ID] {
            assert_eq!(get(name, b"orders@0.1.0").as_deref(), Some("orders@0.1.0"));
            for bad in [&b""[..], b"a\0b", b"a\nb", b"\xff", "ä".as_bytes()] {
                assert_eq!(get(name, bad), None, "{name}: {bad:?}");
            }
        }
        assert_eq!(get(names::LINEAGE, b"a@1 > b@2").as_deref(), Some("a@1 > b@2"));
        assert_eq!(get(names::CORRELATION_ID, b"a > b"), None);
        assert_eq!(get(names::SOURCE, b"orders\0"), None);
        assert_eq!(get("theirs", b"a\nb").as_deref(), Some("a\nb"));
    }
}
