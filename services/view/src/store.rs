//! [`Store`]: the view's database, and the one SQL transaction per batch.

use crate::{
    batch::{Batch, OrderRecord},
    domain::history::Verdict,
    migrations::MIGRATIONS,
    notifications,
    processor::{Tables, Verdicts},
    views::{customer_orders, order, products, refusals, sales, timeline},
};
use anyhow::Context;
use contracts::{Order, OrderId, Status, Timestamp};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::OnceCell, time::timeout};

/// Connections of this instance: one for the loop, one that listens, the others for readers.
const CONNECTIONS_MAX: u32 = 10;

/// Longest wait for a connection; also how long a reader waits for a database that is down.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that has been idle for longer is tried before it is used: its server may have been
/// restarted. One in steady use is not, so that a read is a single round trip.
const IDLE_UNTRIED_MAX: Duration = Duration::from_secs(1);

/// No statement of ours is slow, unless it waits for something that is stuck.
const STATEMENT_TIMEOUT: (&str, &str) = ("statement_timeout", "10s");

/// Longest time for a batch. Also a connection that has silently died ends here.
const APPLY_TIMEOUT: Duration = Duration::from_secs(15);

/// What was announced must be there after a crash of the server, whatever its default is.
const DURABILITY: (&str, &str) = ("synchronous_commit", "on");

/// The view's database. Connects when it is used; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    place: Arc<str>,
    migrated: Arc<OnceCell<()>>,
}

impl Store {
    /// The database behind `options`, wherever it may be at the moment. Call it within a runtime.
    pub fn new(options: &PgConnectOptions) -> Self {
        let (host, port) = (options.get_host(), options.get_port());
        let database = options.get_database().unwrap_or_default();
        let options =
            options.clone().application_name("view").options([STATEMENT_TIMEOUT, DURABILITY]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // An outage is said once, by the one who watches the database.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, idle| {
                Box::pin(async move {
                    let is_trusted = idle.idle_for <= IDLE_UNTRIED_MAX;
                    Ok(is_trusted || connection.ping().await.is_ok())
                })
            })
            .connect_lazy_with(options);
        let place = format!("{host}:{port}/{database}").into();
        Self { pool, place, migrated: Arc::default() }
    }

    /// The connections, for readers.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where the database is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Up to when each partition has been applied, as every instance tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn progress(&self) -> anyhow::Result<BTreeMap<i32, Timestamp>> {
        self.migrate().await?;
        let rows: Vec<(i32, i64)> =
            sqlx::query_as("SELECT log_partition, caught_up_at FROM progress")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(partition, at)| (partition, Timestamp(at))).collect())
    }

    /// Write `batch` in one transaction, and tell what its transitions meant. A batch that was
    /// written before changes nothing.
    ///
    /// # Errors
    /// When the database fails: nothing is written then, or nobody knows; come again.
    pub async fn apply(&self, batch: &Batch) -> anyhow::Result<Verdicts> {
        self.migrate().await?;
        let mut tx = self.pool.begin().await?;
        let order_ids = batch.order_ids();
        let histories = match order_ids.is_empty() {
            true => BTreeMap::new(),
            false => timeline::histories(&mut tx, &order_ids).await?,
        };
        let verdicts = batch.judge(histories);
        let next: Vec<&OrderRecord> = (batch.orders.iter().zip(&verdicts))
            .filter(|(_, verdict)| **verdict == Ok(Verdict::Next))
            .map(|(arrived, _)| arrived)
            .collect();
        let mut changed = write_orders(&mut tx, &next).await?;
        if !batch.refusals.is_empty() {
            let all: Vec<_> = batch.refusals.values().collect();
            refusals::insert(&mut tx, &all).await?;
            changed.extend(all.iter().map(|refusal| refusal.order_id));
        }
        if !batch.products.is_empty() {
            products::upsert_products(&mut tx, &batch.products).await?;
        }
        if !batch.stock.is_empty() {
            products::upsert_stock(&mut tx, &batch.stock).await?;
        }
        write_progress(&mut tx, &batch.progress).await?;
        notifications::notify(&mut tx, &changed).await?;
        tx.commit().await?;
        Ok(verdicts)
    }

    /// Make what tables are missing. Several instances may try at once.
    async fn migrate(&self) -> anyhow::Result<()> {
        let migrate = async { MIGRATIONS.run(&self.pool).await };
        let migrated = self.migrated.get_or_try_init(|| migrate).await;
        migrated.map(drop).context("the tables cannot be made")
    }
}

/// The store for a thread that waits for it.
pub struct BlockingStore {
    store: Store,
    runtime: Handle,
}

impl BlockingStore {
    /// `store`, whose IO runs on `runtime`; call it from outside of that.
    pub fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime }
    }
}

impl Tables for BlockingStore {
    fn apply(&mut self, batch: &Batch) -> anyhow::Result<Verdicts> {
        let apply = self.store.apply(batch);
        // The timer must be made inside of the runtime.
        let timely = async { timeout(APPLY_TIMEOUT, apply).await };
        let applied = self.runtime.block_on(timely).context("the batch took too long").flatten();
        applied.with_context(|| format!("Postgres at {}", self.store.place()))
    }
}

/// Show transitions that are next for their orders. Gives the orders that have changed.
async fn write_orders(
    connection: &mut PgConnection,
    next: &[&OrderRecord],
) -> sqlx::Result<BTreeSet<OrderId>> {
    if next.is_empty() {
        return Ok(BTreeSet::new());
    }
    let latest: BTreeMap<OrderId, &Order> =
        next.iter().map(|arrived| (arrived.order.order_id, &arrived.order)).collect();
    let latest: Vec<&Order> = latest.into_values().collect();
    let changed = order::upsert(connection, &latest).await?;
    timeline::insert(connection, next).await?;
    customer_orders::upsert(connection, &latest).await?;
    let is_sold =
        |order: &&Order| order.status == Status::Confirmed && changed.contains(&order.order_id);
    let sold: Vec<&Order> = latest.into_iter().filter(is_sold).collect();
    if !sold.is_empty() {
        sales::add(connection, &sold).await?;
    }
    Ok(changed)
}

async fn write_progress(
    connection: &mut PgConnection,
    progress: &BTreeMap<i32, Timestamp>,
) -> sqlx::Result<()> {
    const UPSERT: &str = "
        INSERT INTO progress AS known (log_partition, caught_up_at)
        SELECT * FROM unnest($1::int[], $2::bigint[])
        ON CONFLICT (log_partition) DO UPDATE SET caught_up_at = excluded.caught_up_at
        WHERE known.caught_up_at < excluded.caught_up_at";
    sqlx::query(UPSERT)
        .bind(progress.keys().copied().collect::<Vec<_>>())
        .bind(progress.values().map(|at| at.millis()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
