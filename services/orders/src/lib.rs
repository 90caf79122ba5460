//! Orders: takes commands about orders, and decides about them what is not about money.
//!
//! Consumes: `orders.commands`, `order-validations`, `orders` (its own log, read back, and the
//! transitions of payments); the tables `catalog.products` and `catalog.customers`; for clients
//! that wait, `order-views` and `orders.refusals`.
//! Produces: OrderRequested, OrderValidated, OrderRejected, OrderCancelled and OrderConfirmed on
//! `orders`, their copies on `orders.latest`, and CommandRefused on `orders.refusals`.
//! Owns: the baton in Requested, Paid and PaymentDeclined.
//! Guarantees: each decision is taken once, on the fold of everything read before it, whatever the
//! order of arrival: records, offsets and state are one Kafka transaction (event sourcing).
//! Fails how: without Kafka it answers 503 and decides nothing; what it has decided is in the log,
//! and the local store can be deleted at any time.

pub mod catalog;
pub mod config;
pub mod domain;
pub mod handlers;
pub mod http;
pub mod processor;
pub mod store;
pub mod topology;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use contracts::owns::Orders;
use service_kit::{BoundServer, Health, Limits, Readiness, Shutdown};
use streams::{Codec, Store};
use streams_kafka::{DiskStore, HttpRegistry, LoopSettings, LoopStatus, Sender, spawn_loop};
use tokio::{runtime::Handle, task::JoinHandle};

use catalog::Catalog;
use http::{App, waiters::Waiters};
use processor::OrdersProcessor;

pub use config::Config;

/// The name of consumer group and `transactional.id`.
const LOOP_NAME: &str = "orders";

/// Room for a client that waits a minute after a command that took its time to be acknowledged.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);

/// A running service.
pub struct Running {
    server: BoundServer,
    decisions: JoinHandle<anyhow::Result<()>>,
    shutdown: Shutdown,
}

/// Start the service; it ends at `shutdown`. Nothing that it depends on need be there yet.
///
/// # Errors
/// Fails if the address is taken or the state store cannot be opened.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let common = &config.common;
    let (bootstrap, instance) = (common.kafka_bootstrap.as_str(), common.instance);
    let registry = HttpRegistry::new(&common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let store = DiskStore::open(&common.state_folder(LOOP_NAME))?;
    let catalog = Catalog::follow(bootstrap, instance, &codec, &shutdown);
    let waiters = Waiters::new(config.waiters_max);
    waiters.follow(bootstrap, codec.clone(), shutdown.clone());

    let health = Health::new();
    let app = App {
        catalog: catalog.clone(),
        commands: Arc::new(Sender::<Orders>::new(bootstrap, codec.clone())?),
        waiters,
        view_url: config.view_url.as_str().into(),
        shutdown: shutdown.clone(),
    };
    let checks = (health.check("catalog"), health.check("decisions"));
    let limits = Limits { request_timeout: REQUEST_TIMEOUT, ..Limits::default() };
    let address = common.http_addr(config::PORT);
    let server =
        service_kit::serve(address, http::router(app)?, &health, limits, shutdown.clone()).await?;
    // Only now: a second copy, which fails at the address, must not fence the first one.
    let decisions = tokio::spawn(run_loop(
        LoopSettings::new(bootstrap, LOOP_NAME, instance),
        OrdersProcessor::new(catalog.clone(), config.terms()),
        Box::new(store),
        codec,
        catalog,
        checks,
        shutdown.clone(),
    ));
    Ok(Running { server, decisions, shutdown })
}

impl Running {
    /// The address that the service listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Wait for the end.
    ///
    /// # Errors
    /// What ended it, if it was not the shutdown: such as a schema that the registry refuses.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let decided = self.decisions.await?;
        // If the loop has died, the service has nothing left to promise.
        self.shutdown.cancel();
        self.server.stopped().await?;
        decided
    }
}

/// Run the loop, once the catalog is there: before that every product would be unknown.
async fn run_loop(
    settings: LoopSettings,
    processor: OrdersProcessor,
    store: Box<dyn Store>,
    codec: Codec,
    catalog: Catalog,
    (catalog_check, check): (Readiness, Readiness),
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    catalog_check.down("waiting for catalog.products and catalog.customers to be read");
    check.down("waiting for the catalog");
    if shutdown.run_until_cancelled(catalog.ready()).await.is_none() {
        return Ok(());
    }
    catalog_check.up();
    let running = spawn_loop(settings, processor, store, codec, shutdown);
    let watching = tokio::spawn(check.follow(running.status(), LoopStatus::problem));
    let result = running.stopped().await;
    watching.abort();
    result
}
