//! What makes up for what was not captured: [`resync`] for a table, [`resend_outbox`] for messages.
//! Each may be repeated.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use contracts::ServiceName;
use contracts::topics::{self, ORDERS};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use streams_kafka::{admin::delete_keys, read_topic};
use uuid::Uuid;

use crate::sources::{SOURCES, Source};
use crate::{Addresses, compare, connect, postgres};

/// Longest wait for a connector to run, and for what was sent to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait before the next look.
const PAUSE: Duration = Duration::from_millis(500);

/// The header by which Debezium names the row of the outbox.
const ROW_ID: &str = "id";

/// Makes the topic of `table` say what the table says: the table is in the publication again, keys
/// without a row get a tombstone, and every row is sent again. What was done.
///
/// The tombstones come first. So a row that is written meanwhile comes after the tombstone of its
/// key: it is either among those that are sent again, or its change is captured later.
///
/// # Errors
/// When no such table is captured, the connector does not run, or a server is away; and when rows
/// and records still differ after two minutes.
pub async fn resync(addresses: &Addresses, table: &str) -> Result<String> {
    let captured = Source::of(table).and_then(|source| Some((source, source.topic(table)?)));
    let Some((source, topic)) = captured else {
        let tables: Vec<_> = SOURCES.iter().flat_map(|source| &source.tables).collect();
        let known = tables
            .into_iter()
            .filter(|table| Source::of(table).is_some_and(|source| source.topic(table).is_some()));
        let known: Vec<_> = known.map(String::as_str).collect();
        bail!("`{table}` is no table with a topic: there are {}", known.join(", "));
    };
    let url = addresses.database(source);
    prepare(addresses, source).await?;
    let gone = compare::once(addresses, source, table).await?.gone;
    let (kafka, keys) = (addresses.kafka.clone(), gone.clone());
    tokio::task::spawn_blocking(move || delete_keys(&kafka, topic, &keys)).await??;
    let mut db = postgres::connect(url).await?;
    let key = postgres::key_column(&mut db, table).await?;
    let touch = format!(r#"UPDATE "{table}" SET "{key}" = "{key}""#);
    let rows = sqlx::query(AssertSqlSafe(touch)).execute(&mut db).await?.rows_affected();
    let started = Instant::now();
    loop {
        let left = compare::once(addresses, source, table).await?;
        if left.is_none() {
            break;
        }
        let in_time = started.elapsed() < PATIENCE;
        ensure!(in_time, "{table}: rows and records still differ: {left}");
        tokio::time::sleep(PAUSE).await;
    }
    let deleted = gone.len();
    Ok(format!("{table}: {rows} rows sent again, {deleted} keys without a row deleted"))
}

/// Sends the rows of payments' outbox again that are on no topic; how many those were.
///
/// # Errors
/// When the connector does not run, or a server is away; and when they have not arrived after two
/// minutes.
pub async fn resend_outbox(addresses: &Addresses) -> Result<usize> {
    let source = SOURCES.iter().find(|source| source.database == "payments");
    let source = source.context("payments has an outbox")?;
    let mut db = postgres::connect(addresses.database(source)).await?;
    prepare(addresses, source).await?;
    let written = written(&mut db).await?;
    let relayed = relayed(addresses).await?;
    let missing: Vec<Uuid> = written.into_iter().filter(|row| !relayed.contains(row)).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    again(&mut db, &missing).await?;
    let started = Instant::now();
    loop {
        let relayed = self::relayed(addresses).await?;
        let left = missing.iter().filter(|row| !relayed.contains(row)).count();
        if left == 0 {
            return Ok(missing.len());
        }
        let in_time = started.elapsed() < PATIENCE;
        ensure!(in_time, "{left} of {} rows have not arrived", missing.len());
        tokio::time::sleep(PAUSE).await;
    }
}

/// The rows that must be on their topics by now. Dead letters leave theirs after 30 days.
async fn written(db: &mut PgConnection) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM outbox WHERE created_at < now() - interval '10 seconds' \
             AND (aggregatetype = 'orders' OR created_at > now() - interval '29 days')",
    )
    .fetch_all(db)
    .await?)
}

/// The rows that have become records.
async fn relayed(addresses: &Addresses) -> Result<BTreeSet<Uuid>> {
    let kafka = addresses.kafka.clone();
    let read = move || {
        let mut rows = BTreeSet::new();
        for topic in [&ORDERS.spec, topics::dlq(ServiceName::Payments)] {
            read_topic(&kafka, topic, |record| {
                rows.extend(record.headers.get(ROW_ID).and_then(|id| id.parse::<Uuid>().ok()));
                Ok(())
            })?;
        }
        Ok(rows)
    };
    tokio::task::spawn_blocking(read).await?
}

/// Writes these rows to the log of the database once more, as they are.
async fn again(db: &mut PgConnection, rows: &[Uuid]) -> Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(
        "WITH gone AS (DELETE FROM outbox WHERE id = ANY($1) RETURNING *) \
         INSERT INTO outbox SELECT * FROM gone",
    )
    .bind(rows)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO outbox_unreturned AS one (id) \
         SELECT id FROM outbox WHERE id = ANY($1) AND aggregatetype = 'orders' \
         ON CONFLICT (id) DO UPDATE SET times = one.times + 1, sent_at = now(), \
             sent_lsn = pg_current_wal_insert_lsn()",
    )
    .bind(rows)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Removes a slot that can never be read again, puts the tables into the publication, and waits
/// until the connector reads its slot, which it makes if there is none.
async fn prepare(addresses: &Addresses, source: &Source) -> Result<()> {
    let url = addresses.database(source);
    let mut db = postgres::connect(url).await?;
    sqlx::query(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = $1 AND database = current_database() \
             AND wal_status = 'lost' AND NOT active",
    )
    .bind(&source.slot)
    .execute(&mut db)
    .await?;
    for table in postgres::look(url, source).await?.unpublished {
        let add = format!(r#"ALTER PUBLICATION {} ADD TABLE "{table}""#, source.publication);
        sqlx::raw_sql(AssertSqlSafe(add)).execute(&mut db).await?;
    }
    let started = Instant::now();
    loop {
        let status = connect::status(&addresses.connect, &source.name).await?;
        let runs = status.as_ref().is_some_and(connect::Status::is_running);
        let slot = postgres::look(url, source).await?.slot;
        if runs && slot.is_some_and(|slot| slot.active) {
            return Ok(());
        }
        let why = status.and_then(|status| status.failure());
        let why = why.unwrap_or_else(|| "`./shop cdc status` says why".to_owned());
        let in_time = started.elapsed() < PATIENCE;
        ensure!(in_time, "the connector {} does not run: {why}", source.name);
        tokio::time::sleep(PAUSE).await;
    }
}
