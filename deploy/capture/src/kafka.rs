//! What Kafka has: the last heartbeat of a connector, its failures, and the last record per key.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use contracts::Timestamp;
use serde::Deserialize;
use streams::Record;
use streams::topic::{Cleanup, PartitionCount, TopicSpec, Writers};
use streams_kafka::{read_end, read_topic};

use crate::connect::{Failures, cause};

/// Where Connect writes down each change of a state. It is compacted, but its newest part, which is
/// never compacted, reaches back for longer than the window of [`Failures`].
static STATUS: TopicSpec = TopicSpec {
    name: "connect-status",
    key: "worker",
    value: "state",
    schemas: || &[],
    writers: Writers::Cdc,
    partitions: PartitionCount::Fixed(1),
    cleanup: Cleanup::Compact,
};

/// Far more changes of a state than there are in the window.
const CHANGES_MAX: i64 = 2_000;

/// Enough for a heartbeat and the marker of its transaction.
const HEARTBEATS_MAX: i64 = 20;

/// What Kafka says of one connector.
#[derive(Debug)]
pub(crate) struct Log {
    /// The age of the last heartbeat; none if there never was one, or not for a day.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) failures: Failures,
}

/// Reads it. Blocks.
pub(crate) fn look(kafka: &str, connector: &str, heartbeat: &TopicSpec) -> Result<Log> {
    let now = Timestamp::from(SystemTime::now());
    let mut last = None;
    read_end(kafka, heartbeat, HEARTBEATS_MAX, |record| {
        last = Some(Timestamp(record.timestamp_ms));
        Ok(())
    })?;
    let mut changes = Vec::new();
    read_end(kafka, &STATUS, CHANGES_MAX, |record| {
        changes.push(record);
        Ok(())
    })?;
    let failures = failures(&changes, connector, now);
    Ok(Log { heartbeat: last.map(|last| now - last), failures })
}

/// Those of `connector` and its tasks among the changes.
fn failures(changes: &[Record], connector: &str, now: Timestamp) -> Failures {
    #[derive(Deserialize)]
    struct Change {
        state: String,
        trace: Option<String>,
    }
    let (own, tasks) =
        (format!("status-connector-{connector}"), format!("status-task-{connector}-"));
    let mut failures = Failures::default();
    for record in changes {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
        let task = key.strip_prefix(&tasks).is_some_and(|number| number.parse::<u32>().is_ok());
        let is_ours = key == own || task;
        let age = now - Timestamp(record.timestamp_ms);
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(change) = serde_json::from_slice::<Change>(value) else { continue };
        if is_ours && age < Failures::WINDOW && change.state == "FAILED" {
            failures.count += 1;
            failures.last = Some(age);
            failures.cause = change.trace.as_deref().map(cause);
        }
    }
    failures
}

/// The last record of each key that is not a deletion. Blocks.
pub(crate) fn latest(kafka: &str, topic: &TopicSpec) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut latest = BTreeMap::new();
    read_topic(kafka, topic, |record| {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        match record.value {
            Some(value) => drop(latest.insert(key, value)),
            None => drop(latest.remove(&key)),
        }
        Ok(())
    })?;
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, at: i64, state: &str) -> Record {
        let value = format!(r#"{{"state":"{state}","trace":"Outer\nCaused by: {key}@{at}"}}"#);
        Record {
            topic: "connect-status".into(),
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.into_bytes()),
            timestamp_ms: at,
            partition: 0,
            offset: at,
            headers: streams::Headers::default(),
        }
    }

    #[test]
    fn failures_are_those_of_the_connector_in_the_window() {
        let minute = 60_000;
        let changes = [
            change("status-task-catalog-0", minute, "FAILED"),
            change("status-task-catalog-0", 8 * minute, "FAILED"),
            change("status-task-catalog-0", 8 * minute + 1, "RUNNING"),
            change("status-connector-catalog", 9 * minute, "FAILED"),
            change("status-task-catalog-two-0", 9 * minute, "FAILED"),
            change("status-task-payments-outbox-0", 9 * minute, "FAILED"),
        ];
        let found = failures(&changes, "catalog", Timestamp(10 * minute));
        assert_eq!((found.count, found.last), (2, Some(Duration::from_secs(60))));
        assert_eq!(found.cause.unwrap(), format!("status-connector-catalog@{}", 9 * minute));
    }
}
