//! payments: charges validated orders, gives money back, and keeps the books.
//!
//! Consumes: `orders`. Produces: PaymentReceived, PaymentDeclined and PaymentRefunded on `orders`,
//! and `payments.dlq`, all by way of its outbox. Owns: the baton of validated orders and of refunds
//! that are due, the payments, the ledger. Pattern: database + outbox + change data capture, with a
//! scheduler-agent-supervisor for the calls to the bank. Guarantees: an order is captured at most
//! once, has exactly one outcome by its deadline, and no money stays for an order that was
//! declined. Fails how: Postgres, Kafka, the registry and the bank are waited for; nothing is lost
//! meanwhile.

pub mod bank;
pub mod config;
pub mod domain;
#[cfg(test)]
#[path = "../tests/service/fixtures.rs"]
mod fixtures;
pub mod handlers;
pub mod http;
pub mod intake;
mod migrations;
pub mod store;
pub mod supervisor;
pub mod topology;

pub use config::Config;

use anyhow::Context;
use bank::Bank;
use contracts::topics;
use intake::Intake;
use service_kit::{
    BoundServer, Health, Limits, Outage, Readiness, Shutdown, backoff::until_available,
};
use sqlx::PgPool;
use std::{net::SocketAddr, sync::Arc};
use streams::{Codec, RegistryError};
use streams_kafka::{HttpRegistry, LoopSettings, LoopStatus, spawn_ledger};
use supervisor::Supervisor;
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
};

/// A running service.
pub struct Running {
    server: BoundServer,
    work: JoinHandle<anyhow::Result<()>>,
    shutdown: Shutdown,
}

impl Running {
    /// The address that it serves on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// When it cannot go on, such as with an incompatible schema.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let worked = self.work.await.context("payments has died").flatten();
        self.shutdown.cancel();
        self.server.stopped().await?;
        worked
    }
}

struct Checks {
    database: Readiness,
    schemas: Readiness,
    orders: Readiness,
    bank: Readiness,
}

/// Serves HTTP at once, and works as soon as everything that it needs is there, until `shutdown`.
///
/// # Errors
/// When the address is taken, or a client cannot be made.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let health = Health::new();
    let checks = Checks {
        database: health.check("database"),
        schemas: health.check("schemas"),
        orders: health.check("orders"),
        bank: health.check("bank"),
    };
    let pool = store::connect(&config.database_url);
    let registry = HttpRegistry::new(&config.common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let bank = Bank::new(&config.bank_url)?;
    let routes = http::router(pool.clone())?;
    let server =
        service_kit::serve(config.addr(), routes, &health, Limits::default(), shutdown.clone());
    let server = server.await?;
    let work = work(config.clone(), pool, codec, bank, checks, shutdown.clone());
    Ok(Running { server, work: tokio::spawn(work), shutdown })
}

async fn work(
    config: Config,
    pool: PgPool,
    codec: Codec,
    bank: Bank,
    checks: Checks,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let database = || Outage::new("Postgres", config.database_place());
    let migrated =
        until_available(database(), &checks.database, &shutdown, || store::migrate(&pool)).await;
    if migrated.is_none() || !schemas_are_known(&config, &codec, &checks, &shutdown).await? {
        return Ok(());
    }
    let notify = Arc::new(Notify::new());
    let intake = Intake::new(pool.clone(), codec.clone(), Arc::clone(&notify), Handle::current());
    let settings =
        LoopSettings::new(&config.common.kafka_bootstrap, "payments", config.common.instance);
    let orders = spawn_ledger(settings, intake, codec.clone(), shutdown.clone());
    tokio::spawn(checks.orders.follow(orders.status(), LoopStatus::problem));
    let supervisor = Supervisor::new(pool, codec, bank, config.supervisor(), notify, checks.bank);
    let supervisor = tokio::spawn(supervisor.run(checks.database, database(), shutdown.clone()));
    // The loop ends when it is asked to, or when it can never go on.
    let ended = orders.stopped().await;
    shutdown.cancel();
    supervisor.await.context("the supervisor has died")?;
    ended
}

/// Waits for the ids of our schemas, so that no look-up is left for later; false if the process was
/// asked to stop first.
async fn schemas_are_known(
    config: &Config,
    codec: &Codec,
    checks: &Checks,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let outage = Outage::new("the schema registry", &config.common.schema_registry_url);
    let look_up = || async {
        let codec = codec.clone();
        let known =
            spawn_blocking(move || codec.warm_up(&topics::outputs(&topology::FLOWS))).await?;
        match known {
            // Waiting would not make it compatible.
            Err(error @ RegistryError::Incompatible { .. }) => Ok(Err(error)),
            Err(error) => Err(error.into()),
            Ok(()) => anyhow::Ok(Ok(())),
        }
    };
    match until_available(outage, &checks.schemas, shutdown, look_up).await {
        Some(known) => known.map(|()| true).map_err(Into::into),
        None => Ok(false),
    }
}
