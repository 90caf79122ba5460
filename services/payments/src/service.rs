//! [`start`]: the service: HTTP, the intake on its thread, the worker on its task.

use crate::{
    adapters::{Bank, Postgres},
    config::Config,
    http,
    processor::PaymentsIntake,
    supervisor::Supervisor,
    topology,
    worker::Worker,
};
use anyhow::Context;
use contracts::{
    Timestamp,
    topics::{self, TopicSpec},
};
use service_kit::{
    BoundServer, Health, Limits, Outage, Readiness, Shutdown, backoff::until_available,
};
use std::{net::SocketAddr, sync::Arc, time::SystemTime};
use streams::{Codec, Failure, Record, RegistryError, engine::Offsets};
use streams_kafka::{FencedConsumer, HttpRegistry, LoopSettings, LoopStatus, spawn_fenced};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
};
use uuid::Uuid;

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
    let database = Postgres::new(&config.database_url);
    let registry = HttpRegistry::new(&config.common.schema_registry_url, Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let bank = Bank::new(&config.bank_url)?;
    let routes = http::router(database.clone())?;
    let server =
        service_kit::serve(config.addr(), routes, &health, Limits::default(), shutdown.clone());
    let server = server.await?;
    let work = work(config.clone(), database, codec, bank, checks, shutdown.clone());
    Ok(Running { server, work: tokio::spawn(work), shutdown })
}

async fn work(
    config: Config,
    database: Postgres,
    codec: Codec,
    bank: Bank,
    checks: Checks,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let place = config.database_place();
    let outage = Outage::new("Postgres", &place);
    let migrated =
        until_available(outage, &checks.database, &shutdown, || database.migrate()).await;
    if migrated.is_none() || !schemas_are_known(&config, &codec, &checks, &shutdown).await? {
        return Ok(());
    }
    let work = Arc::new(Notify::new());
    let intake = Intake::new(database.clone(), codec.clone(), Arc::clone(&work), Handle::current());
    let settings =
        LoopSettings::new(&config.common.kafka_bootstrap, "payments", config.common.instance);
    let orders = spawn_fenced(settings, intake, codec.clone(), shutdown.clone());
    tokio::spawn(checks.orders.follow(orders.status(), LoopStatus::problem));
    let supervisor = Supervisor::new(codec, config.supervisor(), Uuid::now_v7());
    let worker = Worker::new(supervisor, database, bank, work, checks.bank);
    let outage = streams::Outage::new(format!("Postgres at {place}"));
    let worker = worker.run(checks.database, outage, shutdown.clone());
    both(orders.stopped(), tokio::spawn(worker), shutdown).await
}

/// Waits for the loop and the worker, and ends each when the other one has ended: neither is worth
/// anything alone, and a worker that has panicked unnoticed would leave orders without an end.
async fn both(
    intake: impl Future<Output = anyhow::Result<()>>,
    mut worker: JoinHandle<()>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let intake = async {
        let ended = intake.await;
        shutdown.cancel();
        ended
    };
    let worker = async {
        let ended = (&mut worker).await;
        shutdown.cancel();
        ended.context("the supervisor has died")
    };
    let (intake, worker) = tokio::join!(intake, worker);
    worker.and(intake)
}

/// The intake for a loop on a thread outside of the runtime, which waits for it.
pub struct Intake {
    intake: PaymentsIntake,
    database: Postgres,
    /// Wakes the worker when there is work.
    work: Arc<Notify>,
    runtime: Handle,
}

impl Intake {
    /// An intake that has no partition yet. Its calls run on `runtime` and block the caller.
    pub fn new(database: Postgres, codec: Codec, work: Arc<Notify>, runtime: Handle) -> Self {
        Self { intake: PaymentsIntake::new(codec), database, work, runtime }
    }

    /// Applies a batch at the time `now`. Blocks, as [`FencedConsumer::apply`].
    ///
    /// # Errors
    /// As [`PaymentsIntake::apply`].
    pub fn apply_at(&self, batch: &[Record], now: Timestamp) -> Result<(), Failure> {
        // What may ask the registry blocks, so it comes before anything asynchronous.
        let batch = self.intake.read(batch)?;
        let mut database = self.database.clone();
        if self.runtime.block_on(self.intake.apply(&mut database, &batch, now))? {
            self.work.notify_one();
        }
        Ok(())
    }
}

impl FencedConsumer for Intake {
    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::FLOWS)
    }

    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Offsets, Failure> {
        self.runtime.block_on(self.intake.claim(&mut self.database, partitions))
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), Failure> {
        self.apply_at(batch, SystemTime::now().into())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_ends_the_loop_and_is_an_error() {
        let shutdown = Shutdown::new();
        let stopped = shutdown.clone();
        let intake = async move {
            stopped.cancelled().await;
            Ok(())
        };
        let worker = tokio::spawn(async { panic!("as a bug would") });
        let error = both(intake, worker, shutdown).await.unwrap_err();
        assert!(format!("{error:#}").contains("the supervisor has died"), "{error:#}");
    }

    #[tokio::test]
    async fn a_loop_that_ends_stops_the_worker() {
        let shutdown = Shutdown::new();
        let stopped = shutdown.clone();
        let worker = tokio::spawn(async move { stopped.cancelled().await });
        let intake = async { anyhow::bail!("an incompatible schema") };
        assert!(both(intake, worker, shutdown).await.is_err());
    }
}
