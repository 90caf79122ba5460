//! [`Store`]: the view's database, and the one SQL transaction per batch.

use crate::{
    batch::{Batch, OrderRecord},
    domain::history::Verdict,
    notifications,
    processor::{Tables, Verdicts},
    views::{customer_orders, order, products, refusals, sales, timeline},
};
use anyhow::Context;
use contracts::{Order, OrderId, Status, Timestamp};
use service_kit::postgres::{Database, Settings, SynchronousCommit};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{runtime::Handle, sync::OnceCell};

/// What is asked of the sessions. What was announced must be there after a crash of the server.
const SETTINGS: Settings = Settings::new("view", SynchronousCommit::On);

/// The tables. Connects when they are used; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    migrated: Arc<OnceCell<()>>,
}

impl Store {
    /// The tables in the database behind `options`, wherever it may be at the moment. Call it
    /// within a runtime.
    pub fn new(options: &PgConnectOptions) -> Self {
        Self { database: Database::new(options, SETTINGS), migrated: Arc::default() }
    }

    /// The database, for readers.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Up to when each partition has been applied, as every instance tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn progress(&self) -> anyhow::Result<BTreeMap<i32, Timestamp>> {
        const SELECT: &str = "SELECT log_partition, caught_up_at FROM progress";
        self.database.within(self.migrate()).await?;
        let look = || sqlx::query_as(SELECT).fetch_all(self.database.pool());
        let rows: Vec<(i32, i64)> = self.database.read(look).await?;
        Ok(rows.into_iter().map(|(partition, at)| (partition, Timestamp(at))).collect())
    }

    /// Write `batch` in one transaction, and tell what its transitions meant. A batch that was
    /// written before changes nothing.
    ///
    /// # Errors
    /// When the database fails: nothing is written then, or nobody knows; come again.
    pub async fn apply(&self, batch: &Batch) -> anyhow::Result<Verdicts> {
        self.database.within(self.migrate()).await?;
        self.database.within(self.write(batch)).await
    }

    async fn write(&self, batch: &Batch) -> sqlx::Result<Verdicts> {
        let mut tx = self.database.pool().begin().await?;
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
        let migrate = async { sqlx::migrate!().run(self.database.pool()).await };
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
        let applied = self.runtime.block_on(self.store.apply(batch));
        applied.with_context(|| format!("Postgres at {}", self.store.database().place()))
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
