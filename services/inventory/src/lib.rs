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

use contracts::{Sku, catalog::Product, owns::Inventory, topics::PRODUCTS};
use service_kit::{BoundServer, Health, Limits, Readiness, Shutdown};
use std::{net::SocketAddr, sync::Arc};
use streams::{Codec, GlobalTable, MemoryStore};
use streams_kafka::{
    DiskStore, HttpRegistry, LoopHandle, LoopSettings, LoopStatus, Sender, spawn_loop, spawn_table,
};
use tokio::runtime::Handle;

/// Consumer group and `transactional.id` of the loop that takes orders apart.
const SPLIT: &str = "inventory-split";
/// The same of the loop that keeps stock, and the folder of its state.
const STOCK: &str = "inventory-stock";

/// A running service.
pub struct Running {
    server: BoundServer,
    loops: [LoopHandle; 2],
    shutdown: Shutdown,
}

/// Starts both loops and the server. What is away is waited for, in the background.
///
/// # Errors
/// Fails if the address is taken or the state folder cannot be used.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let health = Health::new();

    let products = spawn_table::<Inventory, _, _>(
        &common.kafka_bootstrap,
        common.instance,
        &PRODUCTS,
        codec.clone(),
        shutdown.clone(),
    );
    tokio::spawn(report_ready(products.clone(), health.check("catalog")));
    let checks = [SPLIT, STOCK].map(|name| health.check(name));
    let store = Box::new(DiskStore::open(&common.state_folder(STOCK))?);

    let commands = Sender::new(&common.kafka_bootstrap, codec.clone())?;
    let routes = http::router(http::App { products, commands })?;
    let limits = Limits::default();
    let server =
        service_kit::serve(config.addr(), routes, &health, limits, shutdown.clone()).await?;

    let settings = |name| LoopSettings::new(&common.kafka_bootstrap, name, common.instance);
    let no_state = Box::new(MemoryStore::default());
    let loops = [
        spawn_loop(settings(SPLIT), SplitLoop, no_state, codec.clone(), shutdown.clone()),
        spawn_loop(settings(STOCK), StockLoop, store, codec, shutdown.clone()),
    ];
    for (running, check) in loops.iter().zip(checks) {
        tokio::spawn(check.follow(running.status(), LoopStatus::problem));
    }
    Ok(Running { server, loops, shutdown })
}

impl Running {
    /// Waits until all of it has stopped. If one part fails, the others are stopped as well.
    ///
    /// # Errors
    /// What a loop or the server has failed with.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let [split, stock] = self.loops;
        let ended = tokio::try_join!(split.stopped(), stock.stopped(), self.server.stopped());
        self.shutdown.cancel();
        ended.map(drop)
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }
}

/// Puts `check` up once the catalog has been read.
async fn report_ready(products: GlobalTable<Sku, Product>, check: Readiness) {
    products.ready().await;
    check.up();
}
