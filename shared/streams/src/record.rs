//! A [`Record`] that was read: owned, without Kafka's types.

use crate::{
    Failure,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX},
    topic::{Key, Topic},
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// One record as it was read from a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// `topic/partition/offset`: the record's address, used as `causationid`.
    pub fn address(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }

    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.0.iter().map(|(name, value)| name.len() + value.len());
        bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>()
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
            add(Some(value));
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

/// Headers in their order; a name may repeat, the last one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    /// The last value of `name`, as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(header, _)| header == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Add a header.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Those that may be taken over: the first [`HEADERS_MAX`] of [`HEADER_BYTES_MAX`] at most.
    pub fn bounded(&self) -> Self {
        let fits =
            |(name, value): &&(String, Vec<u8>)| name.len() + value.len() <= HEADER_BYTES_MAX;
        Self(self.0.iter().filter(fits).take(HEADERS_MAX).cloned().collect())
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
}
