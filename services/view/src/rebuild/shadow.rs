//! [`Shadow`]: the shadow schema of a rebuild, and the one session that writes there. It holds the
//! lock of the rebuild, so no other instance writes with it, and what a frozen one has open ends
//! with its session.

use super::Positions;
use crate::{
    adapters::{lean, memory},
    batch::{Arrived, Batch, Fresh, Progress},
    views::ViewName,
};
use anyhow::Context;
use contracts::{Timestamp, story};
use service_kit::postgres::{Database, Fault, message};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{collections::BTreeMap, future::Future, time::Duration};
use streams::lineage::Cause;
use tokio::time::timeout;

/// Longest time for one piece of work.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

/// Readers wait for so long at most, when another one holds the tables.
const SWAP_LOCK_TIMEOUT: &str = "1s";

/// See the module.
pub(super) struct Shadow {
    connection: PgConnection,
    view: ViewName,
}

/// Where a portion leads, and what operators may know of it.
pub(super) struct Mark {
    pub(super) place: (String, i32),
    pub(super) next: i64,
    pub(super) records: i64,
    pub(super) left: i64,
    pub(super) rate: f64,
}

impl Shadow {
    pub(super) async fn connect(database: &Database, view: ViewName) -> anyhow::Result<Self> {
        let options = PgConnectOptions::clone(&database.pool().connect_options());
        // What a crash of the server takes is read again; the swap is on disk when it is done.
        let options = options
            .application_name("view-rebuild")
            .options([("synchronous_commit", "off"), ("statement_timeout", "60s")])
            .options([("idle_in_transaction_session_timeout", "60s")])
            .options([("search_path", view.shadow())]);
        let connection = timely(PgConnection::connect_with(&options)).await?;
        Ok(Self { connection, view })
    }

    /// What `work` gives with the session.
    pub(super) async fn within<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> anyhow::Result<T> {
        timely(work(&mut self.connection)).await
    }

    /// Make the tables, unless those of an earlier attempt by the same definition are there.
    pub(super) async fn prepare(&mut self, view: ViewName) -> anyhow::Result<()> {
        const MADE: &str = "SELECT shadow FROM public.views WHERE name = $1";
        let digest = view.definition().digest();
        self.within(async |connection| {
            let mut tx = connection.begin().await?;
            let made: Option<String> =
                sqlx::query_scalar(MADE).bind(view.as_str()).fetch_one(&mut *tx).await?;
            if made.as_ref() != Some(&digest) {
                lean::make_shadow(&mut tx, view).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// How far the view has been applied, and how far the rebuild has read.
    pub(super) async fn positions(&mut self) -> anyhow::Result<(Positions, Positions)> {
        let view = self.view;
        self.within(async |connection| positions(connection, view).await).await
    }

    /// Fold a portion, in one transaction with its mark. What the tables refuse is left out: it is
    /// a dead letter.
    pub(super) async fn fold(
        &mut self,
        view: ViewName,
        arrived: &[Arrived],
        mark: &Mark,
    ) -> anyhow::Result<()> {
        let mut parts = vec![arrived];
        while let Some(part) = parts.pop() {
            let mark = parts.is_empty().then_some(mark);
            let folded = self.within(async |connection| {
                let mut tx = connection.begin().await?;
                fold(&mut tx, view, part).await?;
                if let Some(mark) = mark {
                    mark.keep(&mut tx, view).await?;
                }
                tx.commit().await
            });
            match folded.await {
                Err(error) if Fault::of(error.as_ref()) == Fault::Refused && !part.is_empty() => {
                    let (first, second) = match part.len() {
                        1 => {
                            let (record, cause) = (&part[0].record, message(error.as_ref()));
                            let story = story::span(&Cause::of(record), Some(record));
                            let _story = story.entered();
                            tracing::warn!(record = record.address(), "not rebuilt: {cause}");
                            (&part[1..], &part[1..])
                        }
                        len => part.split_at(len / 2),
                    };
                    parts.extend([second, first]);
                }
                folded => folded?,
            }
        }
        Ok(())
    }

    /// Begin a transaction that holds the batches up; the positions, which stand still in it.
    pub(super) async fn begin_swap(&mut self) -> anyhow::Result<(Positions, Positions)> {
        let view = self.view;
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = '{SWAP_LOCK_TIMEOUT}';
             SET LOCAL synchronous_commit = on"
        );
        let begun = self.within(async |connection| {
            lean::run(connection, begin).await?;
            lean::lock(connection).await?;
            positions(connection, view).await
        });
        let begun = begun.await;
        self.or_back(begun).await
    }

    /// Say what holds the rebuild up.
    pub(super) async fn hold_up(&mut self, problem: &str) -> anyhow::Result<()> {
        const SAY: &str = "UPDATE public.views SET problem = $2 WHERE name = $1";
        let view = self.view.as_str();
        self.within(async |connection| {
            sqlx::query(SAY).bind(view).bind(problem).execute(connection).await.map(drop)
        })
        .await
    }

    /// Give the swap up, for this time.
    pub(super) async fn end_swap(&mut self) -> anyhow::Result<()> {
        self.within(async |connection| lean::run(connection, "ROLLBACK".to_owned()).await).await
    }

    /// Fold the rest and swap; the number of records that were read in all.
    pub(super) async fn swap(
        &mut self,
        view: ViewName,
        arrived: &[Arrived],
        records: i64,
        took: Duration,
    ) -> anyhow::Result<i64> {
        const DONE: &str = "
            UPDATE public.views SET digest = $2, wanted = NULL, problem = NULL,
                rebuilt_at = clock_timestamp(), rebuilt_records = read_records + $3,
                rebuilt_ms = $4
            WHERE name = $1 RETURNING rebuilt_records";
        let definition = view.definition();
        let swapped = self.within(async |connection| {
            fold(connection, view, arrived).await?;
            if let Some(keep) = definition.keep {
                let mut all = true;
                for table in definition.tables {
                    all &= lean::is_there(connection, table).await?;
                }
                if all {
                    lean::run(connection, keep.to_owned()).await?;
                }
            }
            lean::swap(connection, view).await?;
            let records: i64 = sqlx::query_scalar(DONE)
                .bind(view.as_str())
                .bind(definition.digest())
                .bind(records)
                .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
                .fetch_one(&mut *connection)
                .await?;
            lean::run(connection, "COMMIT".to_owned()).await?;
            Ok(records)
        });
        let swapped = swapped.await;
        self.or_back(swapped).await
    }

    /// After an error, nothing stays open.
    async fn or_back<T>(&mut self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        if done.is_err() {
            self.end_swap().await.context("the swap cannot be taken back")?;
        }
        done
    }
}

impl Mark {
    async fn keep(&self, connection: &mut PgConnection, view: ViewName) -> sqlx::Result<()> {
        const POSITION: &str = "
            INSERT INTO public.rebuild_positions AS known (view, topic, log_partition, next_offset)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (view, topic, log_partition)
                DO UPDATE SET next_offset = excluded.next_offset";
        const PROGRESS: &str = "
            UPDATE public.views
            SET read_records = read_records + $2, left_offsets = $3, rate = $4, problem = NULL
            WHERE name = $1";
        sqlx::query(POSITION)
            .bind(view.as_str())
            .bind(&self.place.0)
            .bind(self.place.1)
            .bind(self.next)
            .execute(&mut *connection)
            .await?;
        sqlx::query(PROGRESS)
            .bind(view.as_str())
            .bind(self.records)
            .bind(self.left)
            .bind(self.rate)
            .execute(connection)
            .await
            .map(drop)
    }
}

async fn fold(
    connection: &mut PgConnection,
    view: ViewName,
    arrived: &[Arrived],
) -> sqlx::Result<()> {
    let batch = Batch { arrived, progress: &Progress::new(), now: Timestamp::default() };
    let taken = memory::taken(connection, batch.transitions().collect()).await?;
    view.fold(connection, &Fresh { taken, batch }).await
}

async fn positions(
    connection: &mut PgConnection,
    view: ViewName,
) -> sqlx::Result<(Positions, Positions)> {
    const READ: &str = "
        SELECT topic, log_partition, next_offset FROM public.rebuild_positions WHERE view = $1";
    let applied = memory::positions(connection).await?;
    let rows: Vec<(String, i32, i64)> =
        sqlx::query_as(READ).bind(view.as_str()).fetch_all(connection).await?;
    let read: BTreeMap<_, _> =
        rows.into_iter().map(|(topic, partition, next)| ((topic, partition), next)).collect();
    Ok((applied, read))
}

async fn timely<T>(work: impl Future<Output = sqlx::Result<T>>) -> anyhow::Result<T> {
    let done = timeout(WORK_TIMEOUT, work).await.context("the database does not answer")?;
    Ok(done?)
}
