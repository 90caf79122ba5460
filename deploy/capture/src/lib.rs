//! Change data capture of a running shop: [`look`] sees whether it loses anything and says what a
//! person can do about it. Only addresses are used, so it does not matter where the parts run.
//!
//! A row goes from PostgreSQL (publication, slot) through a connector of Debezium (state, restarts,
//! heartbeat) to a topic. Each of these can be wrong while all others look well: so each is looked
//! at, and in the end the rows are compared with the records.

mod compare;
mod connect;
mod judge;
mod kafka;
mod postgres;
mod repair;
mod sources;
mod watch;

pub use compare::Difference;
pub use connect::{Status, Worker, status};
pub use judge::{Finding, Seen};
pub use repair::{resend_outbox, resync};
pub use sources::{SOURCES, Source};
pub use watch::watch;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use client::State;

/// Longest wait for one answer of one server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the parts are reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// Base URL of the schema registry.
    pub registry: String,
    /// Base URL of Kafka Connect.
    pub connect: String,
    /// Connection string of the catalog's database.
    pub catalog: String,
    /// Connection string of payments' database.
    pub payments: String,
}

impl Addresses {
    /// Those of the shop of `state`.
    ///
    /// # Errors
    /// When it lacks one.
    pub fn of(state: &State) -> Result<Self> {
        let url = |name: &str| Ok::<_, anyhow::Error>(state.url(name)?.to_owned());
        Ok(Self {
            kafka: url("kafka")?,
            registry: url("registry")?,
            connect: url("connect")?,
            catalog: url("postgres.catalog")?,
            payments: url("postgres.payments")?,
        })
    }

    /// The connection string of the database that `source` captures.
    fn database(&self, source: &Source) -> &str {
        if source.database == "payments" { &self.payments } else { &self.catalog }
    }
}

/// Looks at every source. What cannot be looked at is a finding, too.
pub async fn look(addresses: &Addresses) -> Vec<Seen> {
    let mut seen = Vec::new();
    for source in SOURCES.iter() {
        seen.push(look_at(addresses, source).await);
    }
    seen
}

async fn look_at(addresses: &Addresses, source: &'static Source) -> Seen {
    let url = addresses.database(source);
    let connector = bounded("Kafka Connect", connect::status(&addresses.connect, &source.name));
    let database = bounded("PostgreSQL", postgres::look(url, source));
    let (kafka, name) = (addresses.kafka.clone(), source.name.clone());
    let heartbeat = source.heartbeat;
    let log = bounded("Kafka", async move {
        let read = move || kafka::look(&kafka, &name, heartbeat);
        tokio::task::spawn_blocking(read).await?
    });
    let (connector, database, log, tables) =
        tokio::join!(connector, database, log, compare::tables(addresses, source));
    Seen::judge(source, &judge::Evidence { connector, database, log, tables })
}

/// What `looking` gives, or why it gives nothing in time.
async fn bounded<T>(server: &str, looking: impl Future<Output = Result<T>>) -> Result<T, String> {
    let waited = tokio::time::timeout(TIMEOUT, looking).await;
    let answered = waited.with_context(|| format!("no answer within {} s", TIMEOUT.as_secs()));
    answered.and_then(|answer| answer).map_err(|error| format!("{server}: {error:#}"))
}
