//! Rows of `outbox`: payments writes them, and deletes old ones.

use super::storable;
use crate::outbox::OutboxRow;
use sqlx::PgConnection;
use std::time::Duration;

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
             traceparent, correlationid, causationid, lineage, \
             dlq_cause, dlq_topic, dlq_partition, dlq_offset, dlq_service, dlq_time, \
             dlq_bytes, dlq_sha256) \
         SELECT given.id, given.topic, given.key, given.partition, \
             coalesce(h.ce_type, 'unknown'), \
             given.payload, h.* \
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::int[]) \
             AS given (id, topic, key, payload, headers, partition), \
         json_to_record(given.headers::json) AS h (ce_id text, ce_source text, ce_type text, \
             ce_time text, ce_subject text, ce_specversion text, traceparent text, \
             correlationid text, causationid text, lineage text, dlq_cause text, dlq_topic text, \
             dlq_partition text, dlq_offset text, dlq_service text, dlq_time text, \
             dlq_bytes text, dlq_sha256 text)",
    )
    .bind(rows.iter().map(|row| row.id()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().topic).collect::<Vec<_>>())
    .bind(rows.iter().map(key).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().value.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(headers).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message().partition).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes up to `limit` rows that are older than `retention`; how many. They have long been sent:
/// Debezium reads the log of the database, not the table.
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
             WHERE created_at < now() - $1 * interval '1 second' ORDER BY created_at LIMIT $2)",
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
    let texts = headers.map(|(name, value)| (name.clone(), value.as_deref().map(text).into()));
    serde_json::Value::Object(texts.collect()).to_string()
}

fn text(bytes: &[u8]) -> String {
    storable(&String::from_utf8_lossy(bytes))
}
