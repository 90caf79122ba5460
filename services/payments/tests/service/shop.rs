//! What surrounds payments in these tests: a database of its own, a bank, and the log of `orders`.

use crate::bank::BankDouble;
use contracts::{Order, Status, Timestamp, topics, topics::Key};
use payments::{
    adapters::{
        Bank, Postgres,
        postgres::{
            SETTINGS,
            report::{EntryReport, PaymentReport},
        },
    },
    service::Intake,
    supervisor::{Settings, Supervisor},
    topology, worker,
};
use service_kit::{
    Health, Metrics, Shutdown,
    postgres::{Database, Settings as DatabaseSettings},
};
use sqlx::{Connection, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};
use streams::{
    Codec, Failure, Headers, MemoryRegistry, Outage, Record, RegistryError, SchemaRegistry,
    record::names,
};
use streams_kafka::FencedConsumer;
use testkit::{PATIENCE, postgres, wait_for};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{JoinHandle, block_in_place},
};
use uuid::Uuid;

/// Short: what the bank does not answer is asked again.
const BANK_TIMEOUT: Duration = Duration::from_millis(300);

/// The sessions of the tests are as those of payments, under another name.
const TESTS: DatabaseSettings =
    DatabaseSettings { application_name: "tests", connections_max: 4, ..SETTINGS };

pub(crate) struct Shop {
    /// For what the tests read and write themselves.
    pub(crate) pool: PgPool,
    /// For payments.
    pub(crate) postgres: Postgres,
    pub(crate) codec: Codec,
    /// For payments; its look-ups block.
    remote: Codec,
    pub(crate) bank: BankDouble,
    pub(crate) database: PgConnectOptions,
    next_offset: AtomicI64,
    /// What its intakes and workers have measured.
    pub(crate) metrics: Metrics,
    _server: Option<Arc<postgres::Postgres>>,
}

/// A registry that blocks its caller for each look-up, as the real one does.
struct RemoteRegistry {
    registry: Arc<MemoryRegistry>,
    runtime: Handle,
}

impl SchemaRegistry for RemoteRegistry {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.runtime.block_on(async { self.registry.id_of(subject, schema) })
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        self.runtime.block_on(async { self.registry.schema_by_id(id) })
    }
}

/// A running supervisor; it dies as in a crash when it is dropped.
pub(crate) struct Worker {
    pub(crate) work: Arc<Notify>,
    pub(crate) health: Health,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let name = format!("payments-{}", Uuid::now_v7());
        if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            let server: PgConnectOptions = url.parse().unwrap();
            let mut admin = PgConnection::connect_with(&server).await.unwrap();
            let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
            sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
            return Self::over(server.database(&name), None).await;
        }
        let server = postgres::Postgres::shared().await.unwrap();
        let url = server.database(&name).await.unwrap();
        Self::over(url.parse().unwrap(), Some(server)).await
    }

    /// A shop over a new database.
    pub(crate) async fn over(
        database: PgConnectOptions,
        server: Option<Arc<postgres::Postgres>>,
    ) -> Self {
        let postgres = Postgres::new(&database);
        postgres.migrate().await.unwrap();
        let registry = Arc::new(MemoryRegistry::default());
        let remote = RemoteRegistry { registry: Arc::clone(&registry), runtime: Handle::current() };
        let remote = Codec::new(Arc::new(remote));
        block_in_place(|| remote.warm_up(&topics::outputs(topology::FLOWS))).unwrap();
        Self {
            pool: Database::new(&database, TESTS).pool().clone(),
            postgres,
            codec: Codec::new(registry),
            remote,
            bank: BankDouble::start().await,
            database,
            next_offset: AtomicI64::new(0),
            metrics: Metrics::default(),
            _server: server,
        }
    }

    /// An intake that owns partition 0.
    pub(crate) async fn intake(&self, work: &Arc<Notify>) -> Intake {
        let (database, codec) = (self.postgres.clone(), self.remote.clone());
        let intake = Intake::new(database, codec, Arc::clone(work), Handle::current());
        let mut intake = intake.measured(self.metrics.meters());
        block_in_place(|| intake.claim(&[("orders".into(), 0)])).unwrap();
        intake
    }

    pub(crate) fn supervisor(&self) -> worker::Worker {
        self.supervisor_with(&Arc::default(), &Health::new(), BANK_TIMEOUT)
    }

    /// One that waits for the answer of a bank that has one, however long that takes here.
    pub(crate) fn patient_supervisor(&self) -> worker::Worker {
        self.supervisor_with(&Arc::default(), &Health::new(), PATIENCE)
    }

    fn supervisor_with(
        &self,
        work: &Arc<Notify>,
        health: &Health,
        bank_timeout: Duration,
    ) -> worker::Worker {
        let settings = Settings {
            bank_timeout,
            concurrency_max: 8,
            poll_interval: Duration::from_millis(50),
            outbox_retention: Duration::from_secs(60),
        };
        let bank = Bank::new(&self.bank.url).unwrap();
        let supervisor = Supervisor::new(self.remote.clone(), settings, Uuid::now_v7());
        let (database, work) = (self.postgres.clone(), Arc::clone(work));
        worker::Worker::new(
            supervisor,
            database,
            bank,
            work,
            health.check("bank"),
            health.check("relay"),
        )
        .measured(&self.metrics.meters())
    }

    pub(crate) fn worker(&self) -> Worker {
        let (work, health, shutdown) = (Arc::default(), Health::new(), Shutdown::new());
        let supervisor = self.supervisor_with(&work, &health, BANK_TIMEOUT);
        let outage = Outage::new("Postgres");
        let run = supervisor.run(health.check("database"), outage, shutdown.clone());
        Worker { work, health, shutdown, task: tokio::spawn(run) }
    }

    /// The next record of partition 0.
    pub(crate) fn record(&self, order: &Order) -> Record {
        let mut headers = Headers::default();
        headers.push(names::SOURCE, "orders");
        headers.push(names::CORRELATION_ID, "story-1");
        headers.push(names::LINEAGE, "orders@0.0.1");
        headers.push(names::TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        Record {
            topic: topics::ORDERS.name().into(),
            partition: 0,
            offset: self.next_offset.fetch_add(1, Ordering::Relaxed),
            timestamp_ms: now().millis(),
            key: Some(order.order_id.to_bytes()),
            value: Some(self.codec.encode(&topics::ORDERS.spec, order).unwrap()),
            headers,
        }
    }

    /// What was said on `orders` about this order, in the order of versions.
    pub(crate) async fn events(&self, order: &Order) -> Vec<Order> {
        let rows = sqlx::query(
            "SELECT payload FROM outbox WHERE aggregatetype = 'orders' AND aggregateid = $1",
        );
        let rows = rows.bind(order.order_id.to_string()).fetch_all(&self.pool).await.unwrap();
        let decode = |payload: Vec<u8>| self.codec.decode(&topics::ORDERS, &payload).unwrap();
        let mut events: Vec<Order> = rows.iter().map(|row| decode(row.get("payload"))).collect();
        events.sort_by_key(|order| order.version);
        events
    }

    pub(crate) async fn report(&self, order: &Order) -> Option<PaymentReport> {
        self.postgres.payment(order.order_id).await.unwrap()
    }

    /// Waits for the payment to look so: `declined+void`.
    pub(crate) async fn wait_for(&self, order: &Order, expected: &str) -> PaymentReport {
        wait_for(expected, PATIENCE, || async {
            let report = self.report(order).await.ok_or("no payment".to_owned())?;
            let void = if report.void_due { "+void" } else { "" };
            let seen = format!("{}{void}", report.status);
            if seen == expected { Ok(report) } else { Err(format!("{report:?}")) }
        })
        .await
    }

    /// What the ledger has for this order: `capture bank 1300`, in order.
    pub(crate) async fn entries(&self, order: &Order) -> Vec<String> {
        let entries = self.report(order).await.map(|report| report.entries).unwrap_or_default();
        let line = |entry: &EntryReport| {
            format!("{} {} {}", entry.kind, entry.account, entry.amount_minor)
        };
        entries.iter().map(line).collect()
    }

    /// As if the leases of all claims had ended.
    pub(crate) async fn end_leases(&self) {
        let sql = "UPDATE payments SET due_at = now() WHERE due_at IS NOT NULL";
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

impl Worker {
    /// Stops in order.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Applies a batch as the processor does: outside of the runtime.
pub(crate) fn apply(intake: &Intake, batch: &[Record]) -> Result<(), Failure> {
    block_in_place(|| intake.apply_at(batch, now()))
}

/// The same, a moment before `time`.
pub(crate) fn apply_before(
    intake: &Intake,
    batch: &[Record],
    time: Timestamp,
) -> Result<(), Failure> {
    block_in_place(|| intake.apply_at(batch, Timestamp(time.millis() - 1)))
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

pub(crate) fn in_millis(millis: u64) -> Timestamp {
    now() + Duration::from_millis(millis)
}

/// Far enough away for a test.
pub(crate) fn tomorrow() -> Timestamp {
    now() + Duration::from_secs(24 * 60 * 60)
}

/// The statuses of these orders.
pub(crate) fn statuses(events: &[Order]) -> Vec<Status> {
    events.iter().map(|order| order.status).collect()
}
