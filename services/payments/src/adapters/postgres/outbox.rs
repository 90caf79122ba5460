//! Rows of `outbox`: payments writes them, sends them again, and deletes old ones.

use super::storable;
use crate::outbox::{OutboxRow, PAUSE_MAX, PAUSE_MIN};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Writes the rows.
///
/// # Errors
/// When the database is away, or the same thing has been said before.
pub(super) async fn insert(tx: &mut PgConnection, rows: &[OutboxRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let key = |row: &OutboxRow| text(row.message().key.as_deref().unwrap_or_default());
    sqlx::query(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, partition, type, payload, \
             ce_id, ce_source, ce_type, ce_time, ce_subject, ce_specversion, \
             traceparent, correlationid, causationid, lineage, callerid, \
             dlq_cause, dlq_topic, dlq_partition, dlq_offset, dlq_service, dlq_time, \
             dlq_bytes, dlq_sha256) \
         SELECT given.id, given.topic, given.key, given.partition, \
             coalesce(h.ce_type, 'unknown'), \
             given.payload, h.* \
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::int[]) \
             AS given (id, topic, key, payload, headers, partition), \
         json_to_record(given.headers::json) AS h (ce_id text, ce_source text, ce_type text, \
             ce_time text, ce_subject text, ce_specversion text, traceparent text, \
             correlationid text, causationid text, lineage text, callerid text, \
             dlq_cause text, dlq_topic text, \
             dlq_partition text, dlq_offset text, dlq_service text, dlq_time text, \
             dlq_bytes text, dlq_sha256 text)",
    )
    .bind(rows.iter().map(|row| row.id()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().topic).collect::<Vec<_>>())
    .bind(rows.iter().map(key).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().value.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(headers).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().partition).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    let returning: Vec<_> = rows.iter().filter(|row| row.returns()).map(OutboxRow::id).collect();
    sqlx::query("INSERT INTO outbox_unreturned (id) SELECT * FROM unnest($1::uuid[])")
        .bind(returning)
        .execute(tx)
        .await?;
    Ok(())
}

/// These have come back.
///
/// # Errors
/// When the database is away.
pub(super) async fn returned(tx: &mut PgConnection, rows: &[Uuid]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM outbox_unreturned WHERE id = ANY($1)";
    sqlx::query(sql).bind(rows).execute(tx).await?;
    Ok(())
}

/// The slot by which Debezium reads the log of this database (`deploy/debezium`).
pub(super) const SLOT: &str = "outbox";

/// Writes up to `limit` rows again that have not come back within their pause, although the relay
/// has confirmed more of the log than where they are; how many. Deleted and inserted, they are in
/// the log once more; the relay sends inserts alone. A slot that is missing, or that cannot be read
/// any more, confirms nothing: nothing would carry them.
///
/// # Errors
/// When the database is away.
pub(super) async fn resend(connection: &mut PgConnection, limit: u32) -> Result<u64, sqlx::Error> {
    let sent = sqlx::query(
        "WITH passed_by AS (SELECT one.id FROM outbox_unreturned AS one, pg_replication_slots \
             WHERE slot_name = $1 AND database = current_database() AND wal_status <> 'lost' \
                 AND sent_lsn < confirmed_flush_lsn \
                 AND sent_at < now() - interval '1 second' \
                     * least($2 * power(2, least(times - 1, 8)), $3) \
             ORDER BY written_at LIMIT $4 FOR UPDATE OF one SKIP LOCKED), \
         gone AS (DELETE FROM outbox USING passed_by WHERE outbox.id = passed_by.id \
             RETURNING outbox.*), \
         again AS (INSERT INTO outbox SELECT * FROM gone RETURNING id) \
         UPDATE outbox_unreturned AS one SET times = times + 1, sent_at = now(), \
             sent_lsn = pg_current_wal_insert_lsn() FROM again WHERE one.id = again.id",
    )
    .bind(SLOT)
    .bind(PAUSE_MIN.as_secs_f64())
    .bind(PAUSE_MAX.as_secs_f64())
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(sent.rows_affected())
}

/// Removes up to `limit` rows that are older than `retention`; how many. They have long been sent:
/// Debezium reads the log of the database, not the table. What has not come back stays.
///
/// # Errors
/// When the database is away.
pub(super) async fn prune(
    connection: &mut PgConnection,
    retention: Duration,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox \
             WHERE created_at < now() - $1 * interval '1 second' \
                 AND NOT EXISTS (SELECT FROM outbox_unreturned AS one WHERE one.id = outbox.id) \
             ORDER BY created_at LIMIT $2)",
    )
    .bind(retention.as_secs_f64())
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

/// The headers by name; the last one counts, as everywhere.
fn headers(row: &OutboxRow) -> String {
    let headers = row.message().headers.0.iter();
    let texts = headers.map(|(name, value)| (name.to_string(), value.as_deref().map(text).into()));
    serde_json::Value::Object(texts.collect()).to_string()
}

fn text(bytes: &[u8]) -> String {
    storable(&String::from_utf8_lossy(bytes))
}
