//! [`Postgres`]: the tables in Postgres, and the one SQL transaction per batch.

use super::{lean, memory, migrations::MIGRATIONS, notifications};
use crate::{
    batch::{Batch, Fresh, Outcome, Progress, Transition},
    domain::history::Decision,
    freshness::Reached,
    repository::{Repository, Unwritten},
};
use contracts::{OrderId, Timestamp};
use service_kit::postgres::{Database, Fault, Settings, SynchronousCommit, message};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::OnceCell};

/// What is asked of the sessions. What was announced must be there after a crash of the server.
const SETTINGS: Settings = Settings::new("view", SynchronousCommit::On);

/// Older than this is all the same; Postgres has years that it cannot count back to.
const AGE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The tables. Connects when they are used; clones share the connections.
#[derive(Debug, Clone)]
pub struct Postgres {
    database: Database,
    migrated: Arc<OnceCell<()>>,
}

impl Postgres {
    /// The tables in the database behind `options`, wherever it may be at the moment. Call it
    /// within a runtime.
    pub fn new(options: &PgConnectOptions) -> Self {
        Self { database: Database::new(options, SETTINGS), migrated: Arc::default() }
    }

    /// The database, for readers.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// How far each partition is shown, as every instance tells, and how long ago that was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn progress(&self) -> anyhow::Result<BTreeMap<i32, Reached<Duration>>> {
        const SELECT: &str = "
            SELECT log_partition,
                (extract(epoch FROM clock_timestamp() - applied_at) * 1000)::bigint,
                (extract(epoch FROM clock_timestamp() - caught_up_at) * 1000)::bigint
            FROM progress";
        self.migrate().await?;
        let look = || sqlx::query_as(SELECT).fetch_all(self.database.pool());
        let rows: Vec<(i32, Option<i64>, Option<i64>)> = self.database.read(look).await?;
        // What is still to come was written before the server's clock was set back.
        let age = |ms: Option<i64>| u64::try_from(ms?).ok().map(Duration::from_millis);
        let reached = |(partition, applied, caught_up)| {
            (partition, Reached { applied: age(applied), caught_up: age(caught_up) })
        };
        Ok(rows.into_iter().map(reached).collect())
    }

    /// Write `batch` in one transaction, and tell what became of its records. A batch that was
    /// written before changes nothing.
    ///
    /// # Errors
    /// [`Unwritten`]. What the tables refuse while they are made is no record's fault.
    pub async fn apply(&self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
        let at =
            |error: anyhow::Error| error.context(format!("Postgres at {}", self.database.place()));
        self.migrate().await.map_err(at)?;
        let written = self.database.within(self.write(batch)).await;
        written.map_err(|error| match Fault::of(error.as_ref()) {
            Fault::Refused => Unwritten::Refused(message(error.as_ref())),
            Fault::Transient | Fault::Session | Fault::Defect => Unwritten::Failed(at(error)),
        })
    }

    async fn write(&self, batch: Batch<'_>) -> sqlx::Result<Vec<Outcome>> {
        let mut tx = self.database.pool().begin().await?;
        let served = lean::served(&mut tx).await?;
        let order_ids = batch.order_ids();
        let histories = match order_ids.is_empty() {
            true => BTreeMap::new(),
            false => memory::histories(&mut tx, &order_ids).await?,
        };
        let decisions = batch.judge(histories);
        let is_next = |decision: &Decision| match decision {
            Decision::Show { .. } => true,
            Decision::Repeated | Decision::Impossible(_) => false,
        };
        let next: Vec<Transition<'_>> = (batch.transitions().zip(&decisions))
            .filter(|(_, decision)| is_next(decision))
            .map(|(transition, _)| transition)
            .collect();
        let fresh = Fresh { taken: memory::take(&mut tx, next).await?, batch };
        for view in served {
            view.fold(&mut tx, &fresh).await?;
        }
        memory::advance(&mut tx, batch.arrived).await?;
        let refused = batch.refusals().into_values().map(|refusal| refusal.order_id);
        let taken = fresh.taken.iter().map(|taken| taken.order.order_id);
        let changed: BTreeSet<OrderId> = taken.chain(refused).collect();
        write_progress(&mut tx, batch.progress).await?;
        notifications::notify(&mut tx, &changed).await?;
        tx.commit().await?;
        Ok(batch.outcomes(decisions))
    }

    /// Make what tables are missing. Several instances may try at once.
    async fn migrate(&self) -> anyhow::Result<()> {
        let make = || async {
            self.database.migrate(&MIGRATIONS).await?;
            let ensure = async { lean::ensure(&mut *self.database.pool().acquire().await?).await };
            self.database.within(ensure).await
        };
        self.migrated.get_or_try_init(make).await.map(drop)
    }
}

/// The tables for a thread that waits for it.
pub struct BlockingPostgres {
    tables: Postgres,
    runtime: Handle,
}

impl BlockingPostgres {
    /// `tables`, whose IO runs on `runtime`; call it from outside of that.
    pub fn new(tables: Postgres, runtime: Handle) -> Self {
        Self { tables, runtime }
    }
}

impl Repository for BlockingPostgres {
    fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
        self.runtime.block_on(self.tables.apply(batch))
    }
}

async fn write_progress(connection: &mut PgConnection, progress: &Progress) -> sqlx::Result<()> {
    const UPSERT: &str = "
        INSERT INTO progress AS known (log_partition, applied_at, caught_up_at)
        SELECT log_partition, clock_timestamp() - applied_ms * interval '1 millisecond',
            clock_timestamp() - caught_up_ms * interval '1 millisecond'
        FROM unnest($1::int[], $2::bigint[], $3::bigint[])
            AS news (log_partition, applied_ms, caught_up_ms)
        ON CONFLICT (log_partition) DO UPDATE SET
            applied_at = coalesce(excluded.applied_at, known.applied_at),
            caught_up_at = coalesce(excluded.caught_up_at, known.caught_up_at)";
    if progress.is_empty() {
        return Ok(());
    }
    // By the clock of this moment: the instance may have been frozen since it read the records.
    let now = Timestamp::now();
    let ms = |age: Duration| i64::try_from(age.min(AGE_MAX).as_millis()).unwrap_or(i64::MAX);
    let ages: Vec<_> = progress.values().map(|reached| reached.ages(now)).collect();
    sqlx::query(UPSERT)
        .bind(progress.keys().copied().collect::<Vec<_>>())
        .bind(ages.iter().map(|ages| ages.applied.map(ms)).collect::<Vec<_>>())
        .bind(ages.iter().map(|ages| ages.caught_up.map(ms)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
