//! [`start`]: the service: HTTP, the processor on its thread, and what watches Postgres.

use crate::{
    adapters::{self, BlockingPostgres, Postgres, Served},
    config::{Config, DEFAULT_PORT},
    feed::{Changes, Feed},
    freshness::Freshness,
    http::{self, App, LastBatons, OrderLooks, Page, Streams},
    processor::{BATCH_RECORDS_MAX, ViewProcessor},
    rebuild::Rebuilds,
};
use contracts::topics::{CATALOG_HEARTBEAT, CATALOG_SILENT, HEARTBEAT_SILENCE_MAX};
use service_kit::{Lifecycle, Running, Shutdown, postgres::with_password, waiters::Waiters};
use std::sync::Arc;
use streams::{Codec, MemoryStore};
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, ThreadStatus, spawn_clock, spawn_processor, spawn_tail,
};
use tokio::runtime::Handle;

/// Start the service; it ends at `shutdown`. What it needs may come later.
///
/// # Errors
/// When the address cannot be listened on, or the password of the database is not there.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let kafka = common.kafka()?;
    let registry =
        CheckedRegistry::connect(&common.schema_registry_url, &kafka, Handle::current())?;
    let password = config.database_password_file.as_deref();
    let tables = Postgres::new(&with_password(&config.database_url, password)?);
    let waiters = Waiters::new(config.waiters_max);
    let (database, freshness) = (tables.database().clone(), Freshness::default());
    let (feed, (streams, writers)) =
        (Feed::new(database.clone()), Streams::new(config.streams_max));

    let lifecycle = Lifecycle::new(shutdown.clone());
    let served = Served::default();
    adapters::export(&freshness, &served, &lifecycle.meters());
    let clock = spawn_clock(&kafka, &format!("view-{}", common.instance), shutdown.clone());
    lifecycle.clock(clock.readings(), clock.stopped());
    lifecycle.task("database", |check, shutdown| {
        adapters::watch(tables.clone(), (freshness.clone(), served), check, shutdown)
    });
    lifecycle.task("notifications", |check, shutdown| {
        let changes = Changes { waiters: waiters.clone(), feed: feed.clone() };
        adapters::relay(database.clone(), changes, adapters::SILENCE_MAX, check, shutdown)
    });
    let pulse = lifecycle.pulse("catalog.capture", HEARTBEAT_SILENCE_MAX, CATALOG_SILENT);
    let (name, topics) = ("view-heartbeats", vec![&CATALOG_HEARTBEAT]);
    let heartbeats = spawn_tail(&kafka, name, topics, shutdown.clone(), move |_| {
        pulse.beat();
        Ok(())
    });
    lifecycle.thread("heartbeats", heartbeats.status(), ThreadStatus::health, heartbeats.stopped());
    lifecycle.task("feed", |check, shutdown| feed.clone().run(check, shutdown));
    lifecycle.task("streams", |check, shutdown| writers.run(check, shutdown));
    let (codec, rebuilds) = (Codec::new(Arc::new(registry)), Rebuilds::default());
    lifecycle.task("rebuilds", |check, shutdown| {
        let (kafka, codec) = (kafka.clone(), codec.clone());
        rebuilds.clone().run(database.clone(), kafka, codec, check, shutdown)
    });
    let app = App {
        database,
        waiters,
        looks: OrderLooks::default(),
        batons: LastBatons::default(),
        feed,
        streams,
        page: Page::new(&config.orders_url, config.workshop_url.as_deref())?,
        freshness: freshness.clone(),
        rebuilds,
        shutdown: shutdown.clone(),
    };
    let limits = http::limits(config.waiters_max);
    let address = (common.http_addr(DEFAULT_PORT), &common.callers);
    let serving = lifecycle.serve(address, http::router(app)?, limits).await?;

    let settings = ConsumerSettings {
        batch_records_max: BATCH_RECORDS_MAX,
        report_ends: true,
        meters: lifecycle.meters(),
        ..ConsumerSettings::new(&kafka, "view", common.instance)
    };
    let repository = BlockingPostgres::new(tables, Handle::current());
    let processor = ViewProcessor::new(repository, freshness);
    // What is known is in Postgres.
    let state = Box::new(MemoryStore::default());
    let thread = spawn_processor(settings, processor, state, codec, shutdown);
    lifecycle.thread("view", thread.status(), ThreadStatus::health, thread.stopped());
    Ok(serving.registered())
}
