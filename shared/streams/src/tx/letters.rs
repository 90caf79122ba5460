//! Dead letters: a record that could not be handled, with headers that say why.

use super::Outgoing;
use crate::{
    Record, Service, Timestamp,
    limits::{CAUSE_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, clip},
    record::{Header, Headers, names},
    topic::TopicSpec,
};

/// The dead letter for `record`: its bytes and headers, and headers that say why. It always fits on
/// its topic: what is too large for that is cut. Then it says how large the record was, and its
/// digest; the whole record is at its address for as long as its topic keeps it.
pub fn dead_letter<S: Service>(record: &Record, cause: &str, at: Timestamp) -> Outgoing {
    dead_letter_of(S::NAME, S::dead_letters(), record, cause, at)
}

/// The same for the service of this name, whose dead letters are on `topic`.
pub fn dead_letter_of(
    service: &str,
    topic: &TopicSpec,
    record: &Record,
    cause: &str,
    at: Timestamp,
) -> Outgoing {
    // What a stranger says in our names is not so.
    let is_strange = |(name, _): &Header| !name.starts_with(dlq_names::PREFIX);
    let strange = record.headers.0.iter().filter(|header| is_strange(header)).count();
    let mut headers = record.headers.bounded();
    headers.0.retain(is_strange);
    let key = clipped(record.key.as_deref(), KEY_BYTES_MAX);
    let value = clipped(record.value.as_deref(), VALUE_BYTES_MAX);
    if (headers.0.len(), key, value) != (strange, record.key.as_deref(), record.value.as_deref()) {
        mark_cut(&mut headers, record);
    }
    headers.push(dlq_names::CAUSE, clip(cause, CAUSE_BYTES_MAX));
    headers.push(dlq_names::TOPIC, &*record.topic);
    headers.push(dlq_names::PARTITION, record.partition.to_string());
    headers.push(dlq_names::OFFSET, record.offset.to_string());
    headers.push(dlq_names::SERVICE, service);
    headers.push(dlq_names::TIME, at.rfc3339());
    if headers.get(names::CAUSATION_ID).is_none() {
        headers.push(names::CAUSATION_ID, record.address());
    }
    Outgoing {
        topic: topic.name,
        partition: record.partition.rem_euclid(topic.partitions()),
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers,
    }
}

/// Make the headers of a dead letter say that it is not the whole `record`: how large that was, and
/// its digest, once.
pub fn mark_cut(headers: &mut Headers, record: &Record) {
    if headers.get(dlq_names::SHA256).is_none() {
        headers.push(dlq_names::BYTES, record.size().to_string());
        headers.push(dlq_names::SHA256, record.digest());
    }
}

/// The beginning of `bytes`, `max` at most.
fn clipped(bytes: Option<&[u8]>, max: usize) -> Option<&[u8]> {
    bytes.map(|bytes| &bytes[..bytes.len().min(max)])
}

/// Headers that a dead letter has besides its own.
pub mod dlq_names {
    /// How all of them begin.
    pub const PREFIX: &str = "dlq_";
    /// Why the record could not be handled.
    pub const CAUSE: &str = "dlq_cause";
    /// Where it stood: topic.
    pub const TOPIC: &str = "dlq_topic";
    /// Where it stood: partition.
    pub const PARTITION: &str = "dlq_partition";
    /// Where it stood: offset.
    pub const OFFSET: &str = "dlq_offset";
    /// The service that could not handle it.
    pub const SERVICE: &str = "dlq_service";
    /// When, RFC 3339.
    pub const TIME: &str = "dlq_time";
    /// An operator has passed the record by: nothing comes of it, also in a restore.
    pub const PASSED: &str = "dlq_passed";
    /// Of a letter that has not all of its record: how many bytes that had in key, value and
    /// headers.
    pub const BYTES: &str = "dlq_bytes";
    /// Of a letter that has not all of its record: that one's [`digest`](crate::Record::digest).
    pub const SHA256: &str = "dlq_sha256";
}
