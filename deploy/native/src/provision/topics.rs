//! The topics, from the registry of topics.

use anyhow::{Context, Result};
use contracts::topics;
use streams_kafka::schemas;

/// One broker holds one copy.
const REPLICATION: i32 = 1;

/// Makes the topics that are missing; returns how many those were.
///
/// # Errors
/// When Kafka does not answer, or has a topic with other settings.
pub async fn ensure(bootstrap: &str) -> Result<usize> {
    let topics: Vec<_> = topics::ALL
        .into_iter()
        .chain([&topics::CATALOG_HEARTBEAT, &topics::PAYMENTS_HEARTBEAT])
        .chain([&schemas::SCHEMAS, &streams_kafka::CLOCK])
        .collect();
    streams_kafka::admin::ensure_topics(bootstrap, &topics, REPLICATION)
        .await
        .context("making the topics")
}
