//! [`start`]: the service: HTTP, the intake on its thread, the worker on its task.

use crate::{
    adapters::{Bank, Postgres},
    config::Config,
    gauges::SlotGauge,
    http,
    processor::PaymentsIntake,
    supervisor::Supervisor,
    topology,
    worker::Worker,
};
use contracts::{
    ServiceName, Timestamp,
    topics::{self, TopicSpec},
};
use service_kit::{
    Lifecycle, Limits, Outage, Readiness, Running, Shutdown, backoff::until_available,
    postgres::with_password, schemas::until_known,
};
use std::sync::Arc;
use streams::{Codec, Failure, Meters, Record, clock::Reading, engine::Offsets};
use streams_kafka::{
    CheckedRegistry, ConsumerSettings, FencedConsumer, ThreadStatus, spawn_clock, spawn_fenced,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use uuid::Uuid;

/// Consumer group, and the name of the processor.
const NAME: &str = "payments";

/// What the service depends on, besides what its parts say of themselves.
struct Checks {
    database: Readiness,
    schemas: Readiness,
    bank: Readiness,
    relay: Readiness,
}

/// Serves HTTP at once, and works as soon as everything that it needs is there, until `shutdown`.
///
/// # Errors
/// When the address is taken, a client cannot be made, or the database's password is not there.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    contracts::failpoints::arm().map_err(anyhow::Error::msg)?;
    let password = config.database_password_file.as_deref();
    let database = Postgres::new(&with_password(&config.database_url, password)?);
    let registry = CheckedRegistry::connect(
        &config.common.schema_registry_url,
        &config.common.kafka()?,
        Handle::current(),
    )?;
    let codec = Codec::new(Arc::new(registry));
    let bank = Bank::new(&config.bank_url)?;

    let lifecycle = Lifecycle::new(shutdown);
    let routes = http::router(database.clone())?;
    let serving =
        lifecycle.serve((config.addr(), &config.common.callers), routes, Limits::default()).await?;
    let common = &config.common;
    let process = format!("payments-{}", common.instance);
    let clock = spawn_clock(&common.kafka()?, &process, lifecycle.shutdown());
    let mut time = clock.readings();
    lifecycle.clock(clock.readings(), clock.stopped());
    let check = |name| lifecycle.health().check(name);
    let checks = Checks {
        database: check("database"),
        schemas: check("schemas"),
        bank: check("bank"),
        relay: check("relay"),
    };
    let config = config.clone();
    lifecycle.start_up(|check, lifecycle| async move {
        check.down("waiting for the database, the schemas and the log's time");
        let shutdown = lifecycle.shutdown();
        let outage = Outage::new("Postgres", config.database_place());
        let migrate = || database.migrate();
        let (outputs, registry_url) =
            (topics::outputs(topology::FLOWS), &config.common.schema_registry_url);
        let migrated = until_available(outage, &checks.database, &shutdown, migrate).await;
        if migrated.is_some()
            && until_known(&codec, &outputs, registry_url, &checks.schemas, &shutdown).await?
            && time_is_known(&mut time, &shutdown).await
        {
            work(&lifecycle, &config, database, codec, bank, checks)?;
        }
        Ok(())
    });
    Ok(serving.registered())
}

/// Intake and supervisor, each a part of the service: it ends with the first of them that does.
fn work(
    lifecycle: &Lifecycle,
    config: &Config,
    database: Postgres,
    codec: Codec,
    bank: Bank,
    checks: Checks,
) -> anyhow::Result<()> {
    let work = Arc::new(Notify::new());
    let meters = lifecycle.meters();
    let intake = Intake::new(database.clone(), codec.clone(), Arc::clone(&work), Handle::current())
        .measured(meters.clone());
    let settings = ConsumerSettings::new(&config.common.kafka()?, NAME, config.common.instance)
        .measured(meters.clone());
    let orders = spawn_fenced(settings, intake, codec.clone(), lifecycle.shutdown());
    lifecycle.thread("orders", orders.status(), ThreadStatus::health, orders.stopped());

    let supervisor = Supervisor::new(codec, config.supervisor(), Uuid::now_v7());
    let slots = SlotGauge::default();
    slots.show(&meters);
    lifecycle.task("slots", |check, shutdown| slots.watch(database.clone(), check, shutdown));
    let worker = Worker::new(supervisor, database, bank, work, checks.bank, checks.relay);
    let worker = worker.measured(&meters);
    let outage = streams::Outage::new(format!("Postgres at {}", config.database_place()));
    lifecycle.task("supervisor", |check, shutdown| async move {
        check.up();
        worker.run(checks.database, outage, shutdown).await;
        Ok(())
    });
    Ok(())
}

/// The intake for a processor on a thread outside of the runtime, which waits for it.
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

    /// The same, with its dead letters measured.
    pub fn measured(self, meters: Meters) -> Self {
        Self { intake: self.intake.measured(meters), ..self }
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
        topics::inputs(topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::FLOWS)
    }

    fn dead_letters(&self) -> &'static TopicSpec {
        topics::dlq(ServiceName::Payments)
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::FLOWS, record)
    }

    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Offsets, Failure> {
        self.runtime.block_on(self.intake.claim(&mut self.database, partitions))
    }

    fn pass_by(&mut self, records: Vec<(String, String)>) {
        self.intake.pass_by(records);
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), Failure> {
        self.apply_at(batch, Timestamp::now())
    }
}

/// Waits for the log's time, which every deadline is judged by; false if the process was asked to
/// stop first.
async fn time_is_known(time: &mut watch::Receiver<Reading>, shutdown: &Shutdown) -> bool {
    let known = time.wait_for(|reading| matches!(reading, Reading::Known { .. }));
    matches!(shutdown.run_until_cancelled(known).await, Some(Ok(_)))
}
