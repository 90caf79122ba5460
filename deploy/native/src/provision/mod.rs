//! Makes started servers into a shop: databases, topics, schemas, connectors, demo stock. Every
//! step may be repeated and changes nothing the second time.

pub(crate) mod access;
pub mod catalog;
pub mod connectors;
pub(crate) mod databases;
pub mod schemas;
pub mod stock;
pub mod topics;

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

/// How long to wait before a service is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Tries until `attempt` succeeds, or has failed once more after `until`; then its last error. What
/// it needs travels through the catalog database, Connect and Kafka, so it may fail for a moment.
async fn retry_until<T, Attempt>(until: Instant, attempt: impl Fn() -> Attempt) -> Result<T>
where
    Attempt: Future<Output = Result<T>>,
{
    loop {
        match attempt().await {
            Err(_) if Instant::now() <= until => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}
