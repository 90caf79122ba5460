//! The view: the query side of the shop, and the only one.
//!
//! Consumes: `orders`, `orders.refusals`, `catalog.products`, `stock`. Produces: `order-views`.
//! Owns: the fact that an order can be seen, and the tables in its database.
//!
//! Guarantees: what is answered is the fold of the log up to a moment that `View-Staleness-Ms`
//! tells; an order never goes back; every transition that can be seen is announced, after it can
//! be seen; sales count a confirmed order once. A record that cannot follow what is known goes to
//! `view.dlq` and never shows.
//!
//! Pattern: idempotent upserts, then a Kafka transaction. A batch is written to Postgres in one SQL
//! transaction, guarded by version; then announcements and offsets are committed in one Kafka
//! transaction. A crash in between repeats the batch: the rows stay, the announcement is not lost.
//!
//! Fails how: without Postgres the loop waits and readers get 503; without Kafka readers are
//! answered with what is there, and the staleness says how old it is.

pub mod batch;
pub mod config;
pub mod domain;
pub mod freshness;
pub mod handlers;
pub mod http;
pub mod notifications;
pub mod processor;
pub mod repository;
pub mod store;
pub mod topology;
pub mod views;
pub mod waiters;

pub use config::Config;

use config::DEFAULT_PORT;
use freshness::Freshness;
use http::App;
use processor::{BATCH_RECORDS_MAX, Projector};
use service_kit::{BoundServer, Health, Limits, Shutdown};
use std::sync::Arc;
use store::{BlockingStore, Store};
use streams::{Codec, MemoryStore};
use streams_kafka::{HttpRegistry, LoopHandle, LoopSettings, LoopStatus, spawn_loop};
use tokio::runtime::Handle;
use waiters::Waiters;

/// Most readers who wait at a time.
const WAITERS_MAX: usize = 1024;

/// A view at work.
pub struct Running {
    server: BoundServer,
    event_loop: LoopHandle,
    shutdown: Shutdown,
}

/// Start the loop and serve HTTP until `shutdown`. What they need may come later.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let (health, freshness) = (Health::new(), Freshness::default());
    let (store, waiters) = (Store::new(&config.database_url), Waiters::new(WAITERS_MAX));
    freshness.export();
    let check = health.check("database");
    tokio::spawn(freshness::watch(store.clone(), freshness.clone(), check, shutdown.clone()));
    tokio::spawn(notifications::relay(store.clone(), waiters.clone(), shutdown.clone()));

    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let tables = BlockingStore::new(store.clone(), Handle::current());
    let event_loop = spawn_loop(
        LoopSettings {
            batch_records_max: BATCH_RECORDS_MAX,
            ..LoopSettings::new(&common.kafka_bootstrap, "view", common.instance)
        },
        Projector::new(tables, freshness.clone()),
        // What is known is in Postgres.
        Box::new(MemoryStore::default()),
        Codec::new(Arc::new(registry)),
        shutdown.clone(),
    );
    tokio::spawn(health.check("loop").follow(event_loop.status(), LoopStatus::problem));

    let routes = http::router(App { store, waiters, freshness, shutdown: shutdown.clone() })?;
    let addr = common.http_addr(DEFAULT_PORT);
    // Those who wait do not take the place of those who only look.
    let defaults = Limits::default();
    let limits = Limits { in_flight_max: WAITERS_MAX + defaults.in_flight_max, ..defaults };
    let server = service_kit::serve(addr, routes, &health, limits, shutdown.clone()).await?;
    Ok(Running { server, event_loop, shutdown })
}

impl Running {
    /// Wait for the end: of the process, or of a loop that cannot go on.
    ///
    /// # Errors
    /// What ended it, if it was not asked to.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let ended = self.event_loop.stopped().await;
        self.shutdown.cancel();
        self.server.stopped().await?;
        ended
    }
}
