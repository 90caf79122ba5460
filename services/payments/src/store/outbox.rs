//! The outbox: what is to be sent, written in the transaction that decides it. Debezium sends it.

use super::storable;
use contracts::{Order, Owns, Timestamp, owns::Payments, topics};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use streams::{Codec, Fact, Failure, Outgoing, Record, lineage::Cause, tx::dead_letter};
use uuid::Uuid;

/// Most rows that one statement prunes, so that it holds its locks for moments only.
const PRUNE_ROWS_MAX: i64 = 10_000;

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    id: Uuid,
    message: Outgoing,
}

impl OutboxRow {
    /// A transition of an order, which payments must own, because of `cause`.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn transition<F>(
        codec: &Codec,
        fact: &F,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Self, Failure>
    where
        F: Fact<Order>,
        Payments: Owns<F>,
    {
        let order = fact.value();
        let subject = order.order_id.to_string();
        let headers = cause.headers::<Payments>(&fact.name(), &subject, now);
        let message = Outgoing {
            topic: topics::ORDERS.name(),
            // Debezium's producer partitions by the key, as every producer of the shop does.
            partition: 0,
            value: Some(codec.encode(&topics::ORDERS.spec, order)?),
            key: subject.into_bytes(),
            headers,
        };
        let id = order.order_id.derive(format!("version {}", order.version).as_bytes());
        Ok(Self { id, message })
    }

    /// The dead letter for `record`: its bytes and headers, and why it is one.
    pub fn dead_letter(record: &Record, cause: &str, now: Timestamp) -> Self {
        // With its time, as a topic that was made anew begins with the same addresses.
        let name = format!("{}@{}", record.address(), record.timestamp_ms);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Self { id, message: dead_letter::<Payments>(record, cause, now) }
    }

    /// Tells it from every other row: it follows from what the row says.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What Debezium makes of it. The partition is that of the key.
    pub fn message(&self) -> &Outgoing {
        &self.message
    }

    /// The headers by name; the last one counts, as everywhere.
    fn headers(&self) -> String {
        let texts =
            self.message.headers.0.iter().map(|(name, value)| {
                (name.clone(), storable(&String::from_utf8_lossy(value)).into())
            });
        serde_json::Value::Object(texts.collect()).to_string()
    }
}

/// Writes the rows.
///
/// # Errors
/// When the database is away, or the same thing has been said before.
pub async fn insert(tx: &mut PgConnection, rows: &[OutboxRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let key = |row: &OutboxRow| storable(&String::from_utf8_lossy(&row.message.key));
    sqlx::query(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, \
             ce_id, ce_source, ce_type, ce_time, ce_subject, ce_specversion, \
             traceparent, correlationid, causationid, lineage, \
             dlq_cause, dlq_topic, dlq_partition, dlq_offset, dlq_service, dlq_time) \
         SELECT given.id, given.topic, given.key, coalesce(h.ce_type, 'unknown'), \
             given.payload, h.* \
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[]) \
             AS given (id, topic, key, payload, headers), \
         json_to_record(given.headers::json) AS h (ce_id text, ce_source text, ce_type text, \
             ce_time text, ce_subject text, ce_specversion text, traceparent text, \
             correlationid text, causationid text, lineage text, dlq_cause text, dlq_topic text, \
             dlq_partition text, dlq_offset text, dlq_service text, dlq_time text)",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message.topic).collect::<Vec<_>>())
    .bind(rows.iter().map(key).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.message.value.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(OutboxRow::headers).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes rows that are older than `retention`; how many. They have long been sent: Debezium reads
/// the log of the database, not the table.
///
/// # Errors
/// When the database is away.
pub async fn prune(pool: &PgPool, retention: Duration) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox \
             WHERE created_at < now() - $1 * interval '1 second' ORDER BY created_at LIMIT $2)",
    )
    .bind(retention.as_secs_f64())
    .bind(PRUNE_ROWS_MAX)
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
