//! [`start`]: the service: HTTP, the loop on its thread, and what watches Postgres.

use crate::{
    adapters::{self, BlockingPostgres, Postgres},
    config::{Config, DEFAULT_PORT},
    freshness::Freshness,
    http::{self, App},
    processor::{BATCH_RECORDS_MAX, ViewProcessor},
    waiters::Waiters,
};
use service_kit::{BoundServer, Health, Limits, Shutdown};
use std::sync::Arc;
use streams::{Codec, MemoryStore};
use streams_kafka::{HttpRegistry, LoopHandle, LoopSettings, LoopStatus, spawn_loop};
use tokio::runtime::Handle;

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
    let (tables, waiters) = (Postgres::new(&config.database_url), Waiters::new(WAITERS_MAX));
    adapters::export(&freshness);
    let check = health.check("database");
    tokio::spawn(adapters::watch(tables.clone(), freshness.clone(), check, shutdown.clone()));
    let (database, check) = (tables.database().clone(), health.check("notifications"));
    let relay =
        adapters::relay(database, waiters.clone(), adapters::SILENCE_MAX, check, shutdown.clone());
    tokio::spawn(relay);

    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let repository = BlockingPostgres::new(tables.clone(), Handle::current());
    let event_loop = spawn_loop(
        LoopSettings {
            batch_records_max: BATCH_RECORDS_MAX,
            report_ends: true,
            ..LoopSettings::new(&common.kafka_bootstrap, "view", common.instance)
        },
        ViewProcessor::new(repository, freshness.clone()),
        // What is known is in Postgres.
        Box::new(MemoryStore::default()),
        Codec::new(Arc::new(registry)),
        shutdown.clone(),
    );
    tokio::spawn(health.check("loop").follow(event_loop.status(), LoopStatus::problem));

    let routes = http::router(App {
        database: tables.database().clone(),
        waiters,
        freshness,
        shutdown: shutdown.clone(),
    })?;
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
