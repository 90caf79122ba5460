//! What Kafka and Postgres of the same shop can do: the limits that the shop's figures are divided
//! by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::State;
use contracts::orders::OrderCommand;
use contracts::{OrderId, ServiceName, topics};
use futures::{StreamExt, TryStreamExt};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use streams::lineage::Cause;
use streams::topic::{PartitionCount, Topic, TopicSpec, Writers, dead_letters};
use streams::{Codec, Failure, MemoryStore, Owns, Processor, Record, Service, Tx};
use streams_kafka::{
    ConsumerSettings, HttpRegistry, Sender, ThreadHandle, admin, spawn_processor, spawn_tail,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::burst::{SENT_AT_A_TIME, Wish, codec_for, command};
use crate::steady::whole;
use crate::{Figures, Ground};

/// Transactions of one record each, for the cost of one hop.
const HOPS: usize = 300;
/// Rows of a batch, as the view and payments write them.
const ROWS_PER_BATCH: usize = 500;
/// About what an order takes.
const PAYLOAD_BYTES: usize = 600;
/// How long records may be on their way.
const PATIENCE: Duration = Duration::from_secs(300);

static IN: Topic<OrderId, OrderCommand> =
    Topic::new("bench.in", "the commands of a burst", PartitionCount::Setting);
static OUT: Topic<OrderId, OrderCommand> =
    Topic::new("bench.out", "the same", PartitionCount::Setting).written_by(Writers::One("bench"));
static DEAD_LETTERS: TopicSpec = dead_letters("bench.dlq", "bench", PartitionCount::Setting);

/// Reads, decides nothing, writes: what exactly-once costs without a shop.
#[derive(Debug)]
struct Bare;

impl Service for Bare {
    const NAME: &'static str = "bench";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    fn dead_letters() -> &'static TopicSpec {
        &DEAD_LETTERS
    }
}

impl Owns<OrderCommand> for Bare {}

impl Processor for Bare {
    type Identity = Self;
    fn inputs(&self) -> Vec<&'static TopicSpec> {
        vec![&IN.spec]
    }
    fn outputs(&self) -> Vec<&'static TopicSpec> {
        vec![&OUT.spec]
    }
    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Self>) -> Result<(), Failure> {
        let command = tx.decode(&IN, record)?;
        tx.send(&OUT, &command.order_id(), &command)
    }
}

/// Idempotent produce, a transactional stage, one transaction alone; `records` of each.
///
/// # Errors
/// When Kafka or the registry does not answer.
pub async fn kafka(ground: &Ground, records: usize) -> Result<Figures> {
    let state = ground.state();
    let bootstrap = state.url("kafka")?;
    admin::ensure_topics(bootstrap, &[&IN.spec, &OUT.spec, &DEAD_LETTERS], 1).await?;
    let registry = HttpRegistry::new(state.url("registry")?, tokio::runtime::Handle::current())?;
    for topic in [&IN.spec, &OUT.spec] {
        for schema in (topic.schemas)() {
            registry.register(&topic.subject(schema), schema.text).await?;
        }
    }
    let codec = codec_for(registry, vec![&IN.spec, &OUT.spec]).await?;
    let sender: Sender<Bare> = Sender::new(bootstrap, codec.clone())?;
    let mut figures = Figures::default();

    let begun = Instant::now();
    produce(&sender, records).await?;
    figures.add("limit.produce_per_s", whole(records as u64) / begun.elapsed().as_secs_f64());

    let stop = CancellationToken::new();
    let _until_the_end = stop.clone().drop_guard();
    let counter = Counter::follow(bootstrap, &OUT.spec, &stop).await?;
    let stage = stage(bootstrap, codec, &stop);
    counter.reach(1).await?;
    // From the first batch: until then it joined its group.
    let (begun, first) = (Instant::now(), counter.count());
    counter.reach(records).await?;
    let passed = whole((records - first) as u64);
    figures.add("limit.stage_per_s", passed / begun.elapsed().as_secs_f64().max(1e-3));

    let mut hops = Vec::with_capacity(HOPS);
    for n in 1..=HOPS {
        let begun = Instant::now();
        produce(&sender, 1).await?;
        counter.reach(records + n).await?;
        hops.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    hops.sort_by(f64::total_cmp);
    figures.add("limit.hop_p50_ms", hops[HOPS / 2]);
    figures.add("limit.hop_p99_ms", hops[HOPS * 99 / 100]);
    stop.cancel();
    stage.stopped().await?;
    Ok(figures)
}

async fn produce(sender: &Sender<Bare>, records: usize) -> Result<()> {
    let seed = fastrand::u64(..);
    let sends = (0..records as u64).map(|n| {
        let command = command(Wish::Mixed, seed, n);
        let (sender, key) = (sender.clone(), command.order_id);
        let fact = OrderCommand::PlaceOrder(command);
        async move { sender.send(&IN, &key, &fact, Cause::default()).await }
    });
    futures::stream::iter(sends).buffer_unordered(SENT_AT_A_TIME).try_collect::<()>().await?;
    Ok(())
}

fn stage(bootstrap: &str, codec: Codec, stop: &CancellationToken) -> ThreadHandle {
    let settings = ConsumerSettings::new(bootstrap, "bench", 0);
    spawn_processor(settings, Bare, Box::new(MemoryStore::default()), codec, stop.clone())
}

/// Counts the records that arrive on a topic.
struct Counter(Arc<AtomicUsize>);

impl Counter {
    async fn follow(
        bootstrap: &str,
        topic: &'static TopicSpec,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let tail = spawn_tail(bootstrap, "bench-tail", vec![topic], stop.clone(), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let at_work = tokio::time::timeout(PATIENCE, tail.at_work()).await?;
        ensure!(at_work, "following {} has died", topic.name);
        Ok(Self(count))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    async fn reach(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.count() < count {
            ensure!(Instant::now() < deadline, "{} of {count} records arrived", self.count());
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Ok(())
    }
}

/// Upserts in batches, as the view writes them; and rows through the outbox and Debezium to Kafka.
///
/// # Errors
/// When Postgres does not answer, or rows do not arrive.
pub async fn postgres(ground: &Ground, rows: usize) -> Result<Figures> {
    let state = ground.state();
    let mut figures = Figures::default();
    let per_s = |begun: Instant| whole(rows as u64) / begun.elapsed().as_secs_f64().max(1e-3);

    let view = connect(state, "postgres.view").await?;
    sqlx::query("CREATE TABLE bench (id uuid PRIMARY KEY, version bigint, document text)")
        .execute(&view)
        .await?;
    let begun = Instant::now();
    for _ in 0..rows.div_ceil(ROWS_PER_BATCH) {
        upsert(&view).await?;
    }
    figures.add("limit.upsert_per_s", per_s(begun));
    sqlx::query("DROP TABLE bench").execute(&view).await?;

    let payments = connect(state, "postgres.payments").await?;
    let stop = CancellationToken::new();
    let _until_the_end = stop.clone().drop_guard();
    let letters = topics::dlq(ServiceName::Payments);
    let counter = Counter::follow(state.url("kafka")?, letters, &stop).await?;
    let begun = Instant::now();
    for _ in 0..rows.div_ceil(ROWS_PER_BATCH) {
        fill_outbox(&payments).await?;
    }
    counter.reach(rows).await?;
    figures.add("limit.outbox_per_s", per_s(begun));
    Ok(figures)
}

async fn connect(state: &State, database: &str) -> Result<PgPool> {
    let url = state.url(database)?;
    PgPoolOptions::new().max_connections(1).connect(url).await.with_context(|| url.to_owned())
}

async fn upsert(pool: &PgPool) -> Result<()> {
    let ids: Vec<Uuid> = (0..ROWS_PER_BATCH).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO bench (id, version, document) \
         SELECT id, 1, $2 FROM unnest($1::uuid[]) AS id \
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document \
         WHERE bench.version < excluded.version",
    )
    .bind(ids)
    .bind("x".repeat(PAYLOAD_BYTES))
    .execute(pool)
    .await?;
    Ok(())
}

/// Rows for the dead letters of payments: the one topic of the outbox that no service reads.
async fn fill_outbox(pool: &PgPool) -> Result<()> {
    let ids: Vec<Uuid> = (0..ROWS_PER_BATCH).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) \
         SELECT id, 'payments.dlq', id::text, 'bench', $2 FROM unnest($1::uuid[]) AS id",
    )
    .bind(ids)
    .bind(vec![b'x'; PAYLOAD_BYTES])
    .execute(pool)
    .await?;
    Ok(())
}
