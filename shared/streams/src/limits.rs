//! Time-outs and limits of the runtime: one set, which every driver reads, so that the simulation
//! waits as long as the real clients do.
//!
//! The sizes fit into each other: we can read every record that the broker takes from a foreign
//! producer, and the broker takes everything that we make of the largest one, its dead letter
//! included. The test below adds it up.

use std::time::Duration;

/// A call to Kafka, or the retries of one, that takes longer has failed.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A transaction that takes longer is aborted by its coordinator, so that a frozen instance does
/// not hold up the readers of its topics.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which the group gives a member's partitions to another.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(8);

/// How often a member tells its group that it is alive, and learns that the group rebalances: a
/// quarter of the session, so that three may be lost. At twice in a second they were one in eight
/// of the requests of an idle shop.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// How often time acts on the partitions ([`crate::Processor::tick`]).
pub const TICK: Duration = Duration::from_millis(200);

/// Longest wait for the first record of a batch.
pub const IDLE: Duration = Duration::from_millis(100);

/// Longest wait for a second record after the first one, so that a trickle becomes a batch.
pub const BATCH_WAIT: Duration = Duration::from_millis(2);

/// Longest wait for a further record while no record of the batch is awaited
/// ([`crate::Processor::is_awaited`]). A transaction costs the broker as much as some ten records.
pub const LATER: Duration = Duration::from_millis(100);

/// Most records in one transaction, unless a program says otherwise.
pub const BATCH_RECORDS_MAX: usize = 500;

/// A batch is full when its records have so many bytes, whatever their number.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest batch of records that a topic takes, not compressed, in bytes: `max.message.bytes` of
/// each topic and `message.max.bytes` of each producer.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Largest value that we send or take, in bytes. A larger one is poison.
pub const VALUE_BYTES_MAX: usize = 900_000;

/// Largest key that we take, in bytes. A larger one is poison.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest header that we take over, name and value, in bytes. A larger one is left behind.
pub const HEADER_BYTES_MAX: usize = 1024;

/// Most headers of a foreign record that we copy.
pub const HEADERS_MAX: usize = 32;

/// Most headers that we add to a record.
const OWN_HEADERS_MAX: usize = 16;

/// Largest record that we write, dead letters included, in bytes of key, value and headers: below
/// the defaults of Kafka's own clients as well (`max.request.size`, 1 MiB).
pub const RECORD_BYTES_MAX: usize =
    KEY_BYTES_MAX + VALUE_BYTES_MAX + (HEADERS_MAX + OWN_HEADERS_MAX) * HEADER_BYTES_MAX;

/// Longest cause of a dead letter, in bytes; what is longer is cut.
pub const CAUSE_BYTES_MAX: usize = 1000;

/// Records that a restore folds per write to the store.
pub const RESTORE_RECORDS_MAX: usize = 1_000;

/// All of these, as the first log lines of a process tell them: milliseconds, bytes and numbers.
pub fn all() -> Vec<(&'static str, String)> {
    let ms = |duration: Duration| duration.as_millis().to_string();
    vec![
        ("call_timeout_ms", ms(CALL_TIMEOUT)),
        ("transaction_timeout_ms", ms(TRANSACTION_TIMEOUT)),
        ("session_timeout_ms", ms(SESSION_TIMEOUT)),
        ("heartbeat_interval_ms", ms(HEARTBEAT_INTERVAL)),
        ("tick_ms", ms(TICK)),
        ("idle_ms", ms(IDLE)),
        ("batch_wait_ms", ms(BATCH_WAIT)),
        ("later_ms", ms(LATER)),
        ("batch_records_max", BATCH_RECORDS_MAX.to_string()),
        ("batch_bytes_max", BATCH_BYTES_MAX.to_string()),
        ("message_bytes_max", MESSAGE_BYTES_MAX.to_string()),
        ("value_bytes_max", VALUE_BYTES_MAX.to_string()),
        ("key_bytes_max", KEY_BYTES_MAX.to_string()),
        ("header_bytes_max", HEADER_BYTES_MAX.to_string()),
        ("headers_max", HEADERS_MAX.to_string()),
        ("record_bytes_max", RECORD_BYTES_MAX.to_string()),
        ("cause_bytes_max", CAUSE_BYTES_MAX.to_string()),
        ("restore_records_max", RESTORE_RECORDS_MAX.to_string()),
    ]
}

/// The beginning of `text`, `max` bytes at most, cut between two characters.
pub fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the frame of a batch with one record takes: 61 bytes, and some for each length.
    const FRAME_BYTES: usize = 1024;

    /// `max.request.size` of Kafka's own producer, unless it is told otherwise.
    const KAFKAS_DEFAULT: usize = 1_048_576;

    #[test]
    fn what_we_make_of_the_largest_record_is_taken() {
        const { assert!(RECORD_BYTES_MAX + FRAME_BYTES <= KAFKAS_DEFAULT) };
        const { assert!(KAFKAS_DEFAULT <= MESSAGE_BYTES_MAX) };
        // A batch of the group takes one record more than it has room for.
        const { assert!(MESSAGE_BYTES_MAX <= BATCH_BYTES_MAX) };
    }

    #[test]
    fn each_limit_is_told() {
        let source = include_str!("limits.rs");
        let constants = source.lines().filter_map(|line| line.strip_prefix("pub const "));
        let names = constants.map(|line| line.split(':').next().unwrap_or_default().to_lowercase());
        let told = all();
        let is_told = |name: &str| {
            told.iter().any(|(told, _)| *told == name || told.strip_suffix("_ms") == Some(name))
        };
        let missing: Vec<_> = names.filter(|name| !is_told(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip("tea", 3), "tea");
        assert_eq!(clip("tea", 2), "te");
        assert_eq!(clip("t\u{1f375}", 4), "t");
        assert_eq!(clip("", 0), "");
    }
}
