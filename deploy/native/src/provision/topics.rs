//! The topics, from the registry of topics.

use anyhow::{Context, Result};
use contracts::topics::{self, Cleanup, TopicSpec, Writers};

/// Where Debezium says that a connector is alive. Connect makes no topics, so that a misspelt one
/// is an error.
static HEARTBEATS: [TopicSpec; 2] =
    [heartbeat("__debezium-heartbeat.catalog"), heartbeat("__debezium-heartbeat.payments")];

const fn heartbeat(name: &'static str) -> TopicSpec {
    TopicSpec {
        name,
        key: "server",
        value: "time",
        schemas: || &[],
        writers: Writers::Cdc,
        partitions: 1,
        cleanup: Cleanup::Delete { retention_ms: 24 * 60 * 60 * 1000 },
    }
}

/// One broker holds one copy.
const REPLICATION: i32 = 1;

/// Makes the topics that are missing; returns how many those were.
///
/// # Errors
/// When Kafka does not answer, or has a topic with other settings.
pub async fn ensure(bootstrap: &str) -> Result<usize> {
    let topics: Vec<_> = topics::ALL.into_iter().chain(&HEARTBEATS).collect();
    streams_kafka::admin::ensure_topics(bootstrap, &topics, REPLICATION)
        .await
        .context("making the topics")
}
