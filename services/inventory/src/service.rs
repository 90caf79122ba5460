//! [`start`]: the service: both processors on their threads, the table of products, and HTTP.

use crate::{
    config::Config,
    http,
    processor::{SplitProcessor, StockProcessor},
};
use contracts::{
    owns::Inventory,
    topics::{
        CATALOG_HEARTBEAT, CATALOG_SILENT, HEARTBEAT_SILENCE_MAX, INVENTORY_COMMANDS, PRODUCTS,
    },
};
use service_kit::{Lifecycle, Limits, Running, Shutdown, schemas::until_known};
use std::sync::Arc;
use streams::{Codec, MemoryStore};
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, DiskStore, Sender, ThreadHandle, ThreadStatus, spawn_clock,
    spawn_processor, spawn_table, spawn_tail,
};
use tokio::runtime::Handle;

/// Consumer group and `transactional.id` of the processor that takes orders apart.
const SPLIT: &str = "inventory-split";
/// The same of the processor that keeps stock, and the folder of its state.
const STOCK: &str = "inventory-stock";

/// Starts both processors and the server. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let kafka = common.kafka()?;
    let (bootstrap, instance) = (kafka.as_str(), common.instance);
    let registry =
        CheckedRegistry::connect(&common.schema_registry_url, bootstrap, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::of::<StockProcessor>(&common.state_folder(STOCK))?);
    let commands = Sender::new(bootstrap, codec.clone())?;

    let lifecycle = Lifecycle::new(shutdown.clone());
    let clock = spawn_clock(bootstrap, &format!("inventory-{}", instance), shutdown.clone());
    lifecycle.clock(clock.readings(), clock.stopped());
    let part = |name, thread: ThreadHandle| {
        lifecycle.thread(name, thread.status(), ThreadStatus::health, thread.stopped());
    };
    let stop = || shutdown.clone();
    let (products, catalog) =
        spawn_table::<Inventory, _, _>(bootstrap, instance, &PRODUCTS, codec.clone(), stop());
    part("catalog.products", catalog);
    let pulse = lifecycle.pulse("catalog.capture", HEARTBEAT_SILENCE_MAX, CATALOG_SILENT);
    let (name, topics) = ("inventory-heartbeats", vec![&CATALOG_HEARTBEAT]);
    let heartbeats = spawn_tail(bootstrap, name, topics, stop(), move |_| {
        pulse.beat();
        Ok(())
    });
    part("heartbeats", heartbeats);
    let routes = http::router(http::App { products, commands })?;
    let serving =
        lifecycle.serve((config.addr(), &common.callers), routes, Limits::default()).await?;

    let (edge, url) = (codec.clone(), common.schema_registry_url.clone());
    lifecycle.task("schemas", |check, shutdown| async move {
        if until_known(&edge, &[&INVENTORY_COMMANDS.spec], &url, &check, &shutdown).await? {
            shutdown.cancelled().await;
        }
        Ok(())
    });

    let settings =
        |name| ConsumerSettings::new(bootstrap, name, instance).measured(lifecycle.meters());
    let no_state = Box::new(MemoryStore::default());
    part(SPLIT, spawn_processor(settings(SPLIT), SplitProcessor, no_state, codec.clone(), stop()));
    part(STOCK, spawn_processor(settings(STOCK), StockProcessor, store, codec, stop()));
    Ok(serving.registered())
}
