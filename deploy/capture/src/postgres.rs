//! What PostgreSQL says of a source: its slot, its publication, its tables.

use anyhow::{Context, Result};
use client::place;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;

use crate::sources::Source;

/// The database of a source.
#[derive(Debug, Default)]
pub(crate) struct Database {
    /// None if there is no such slot.
    pub(crate) slot: Option<Slot>,
    /// The tables that are captured and not in the publication.
    pub(crate) unpublished: Vec<String>,
    /// Since when the server runs.
    pub(crate) up_for: Duration,
}

/// The place of a reader in the log of the database.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Whether it is being read.
    pub(crate) active: bool,
    /// `lost` when the log that it needs is gone.
    pub(crate) wal_status: String,
    /// How much of the log its reader has not confirmed, in bytes.
    pub(crate) behind: i64,
    /// Since when it is being read by the same reader; none if we may not know.
    pub(crate) read_for: Option<Duration>,
}

impl Slot {
    /// Whether its reader can never go on with it.
    pub(crate) fn is_lost(&self) -> bool {
        self.wal_status == "lost"
    }
}

pub(crate) async fn look(url: &str, source: &Source) -> Result<Database> {
    let mut db = connect(url).await?;
    let slot: Option<(bool, Option<String>, i64, Option<f64>)> = sqlx::query_as(
        "SELECT active, wal_status, \
             coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint, \
             extract(epoch FROM clock_timestamp() - backend_start)::float8 \
         FROM pg_replication_slots LEFT JOIN pg_stat_replication ON pid = active_pid \
         WHERE slot_name = $1 AND database = current_database()",
    )
    .bind(&source.slot)
    .fetch_optional(&mut db)
    .await?;
    let unpublished = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (\
             SELECT FROM pg_publication_tables \
             WHERE pubname = $2 AND schemaname = 'public' AND tablename = name)",
    )
    .bind(&source.tables)
    .bind(&source.publication)
    .fetch_all(&mut db)
    .await?;
    let slot = slot.map(|(active, wal_status, behind, read_for)| Slot {
        active,
        wal_status: wal_status.unwrap_or_default(),
        behind,
        read_for: read_for.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    });
    let up_for: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8",
    )
    .fetch_one(&mut db)
    .await?;
    // Below zero after the clock was set back.
    let up_for = Duration::try_from_secs_f64(up_for).unwrap_or_default();
    Ok(Database { slot, unpublished, up_for })
}

/// The rows of `table` as JSON, each with the text of its key. `table` must be one of a source.
///
/// # Errors
/// When the database is away, or the table has no key of one column, as the connector needs it.
pub(crate) async fn rows(
    url: &str,
    table: &str,
) -> Result<Vec<(String, sqlx::types::Json<serde_json::Value>)>> {
    let mut db = connect(url).await?;
    let key = key_column(&mut db, table).await?;
    let rows = format!(r#"SELECT "{key}"::text, to_jsonb(captured) FROM "{table}" AS captured"#);
    Ok(sqlx::query_as(AssertSqlSafe(rows)).fetch_all(&mut db).await?)
}

/// The column of the primary key of `table`.
pub(crate) async fn key_column(db: &mut PgConnection, table: &str) -> Result<String> {
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_index \
         JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) \
         WHERE indrelid = format('public.%I', $1)::regclass AND indisprimary",
    )
    .bind(table)
    .fetch_all(db)
    .await?;
    let only = <[String; 1]>::try_from(columns);
    only.map(|[column]| column).ok().with_context(|| format!("{table} has no key of one column"))
}

pub(crate) async fn connect(url: &str) -> Result<PgConnection> {
    PgConnection::connect(url).await.with_context(|| place(url).to_owned())
}
