//! Inventory holds stock for orders, gives it back, and lets it leave.
//!
//! Consumes: `orders` (loop `inventory-split`), `inventory.commands` (loop `inventory-stock`), and
//! `catalog.products` to know which products can be restocked.
//! Produces: one command per line on `inventory.commands`; `stock`, `inventory.reservations`, and
//! the outcome of the check `inventory:<sku>` on `order-validations`.
//! Owns: how much there is of each product, and what each order holds of it.
//! Guarantees: per sku `restocked = on_hand + committed` and `available = on_hand - reserved >= 0`,
//! whatever repeats, comes late or crashes; each Reserve has exactly one outcome.
//! Fails how: without Kafka it waits; what can never be right goes to `inventory.dlq`. While it is
//! away orders wait, and end by their deadline; what arrives late is reserved and released at once.

pub mod config;
pub mod domain;
mod handlers;
pub mod http;
mod split;
mod stock;
mod store;
pub mod topology;

pub use config::Config;
pub use split::SplitLoop;
pub use stock::StockLoop;

use contracts::{owns::Inventory, topics::PRODUCTS};
use service_kit::{Lifecycle, Limits, Running, Shutdown};
use std::sync::Arc;
use streams::{Codec, MemoryStore};
use streams_kafka::{
    DiskStore, HttpRegistry, LoopHandle, LoopSettings, LoopStatus, Sender, spawn_loop, spawn_table,
};
use tokio::runtime::Handle;

/// Consumer group and `transactional.id` of the loop that takes orders apart.
const SPLIT: &str = "inventory-split";
/// The same of the loop that keeps stock, and the folder of its state.
const STOCK: &str = "inventory-stock";

/// Starts both loops and the server. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken or the state folder cannot be used.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let (bootstrap, instance) = (common.kafka_bootstrap.as_str(), common.instance);
    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = Box::new(DiskStore::open(&common.state_folder(STOCK))?);
    let commands = Sender::new(bootstrap, codec.clone())?;

    let lifecycle = Lifecycle::new(shutdown.clone());
    let part = |name, thread: LoopHandle| {
        lifecycle.thread(name, thread.status(), LoopStatus::problem, thread.stopped());
    };
    let stop = || shutdown.clone();
    let (products, catalog) =
        spawn_table::<Inventory, _, _>(bootstrap, instance, &PRODUCTS, codec.clone(), stop());
    part("catalog.products", catalog);
    let routes = http::router(http::App { products, commands })?;
    let running = lifecycle.serve(config.addr(), routes, Limits::default()).await?;

    let settings = |name| LoopSettings::new(bootstrap, name, instance);
    let no_state = Box::new(MemoryStore::default());
    part(SPLIT, spawn_loop(settings(SPLIT), SplitLoop, no_state, codec.clone(), stop()));
    part(STOCK, spawn_loop(settings(STOCK), StockLoop, store, codec, stop()));
    Ok(running)
}
