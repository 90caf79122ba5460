//! Rows of `payments`: read and locked, claimed with a lease, written.

use super::storable;
use crate::{
    database::{Agenda, Aside, Row, Rows, Unreturned},
    domain::{Payment, Status},
};
use contracts::{OrderId, Timestamp};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::time::Duration;
use streams::lineage::Cause;
use uuid::Uuid;

macro_rules! columns {
    () => {
        "order_id, status, void_due, reference, \"order\"::text AS \"order\", \
         causationid, correlationid, traceparent, lineage, callerid, attempts, last_error"
    };
}

/// The payments of these orders that exist, locked until the transaction ends.
///
/// # Errors
/// When the database is away.
pub(super) async fn lock(tx: &mut PgConnection, orders: &[OrderId]) -> Result<Rows, sqlx::Error> {
    // Every transaction locks in this order, so that none waits for one that waits for it.
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM payments WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE"
    );
    let ids: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    let rows = sqlx::query(sql).bind(ids).fetch_all(tx).await?;
    rows.iter().map(read).collect()
}

/// The same for payments that were claimed with these tokens, and with no token since.
///
/// # Errors
/// As [`lock`].
pub(super) async fn lock_claimed(
    tx: &mut PgConnection,
    claims: &[(OrderId, Uuid)],
) -> Result<Rows, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM payments \
         WHERE (order_id, lease_token) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[])) \
         ORDER BY order_id FOR UPDATE"
    );
    let (orders, tokens): (Vec<Uuid>, Vec<Uuid>) =
        claims.iter().map(|(order, token)| (order.0, *token)).unzip();
    let query = sqlx::query(sql).bind(orders).bind(tokens);
    query.fetch_all(tx).await?.iter().map(read).collect()
}

/// Up to `limit` payments whose deadline has passed while their outcome is unknown, locked until
/// the transaction ends. A call to the bank may be under way for them; its result will find them
/// gone.
///
/// # Errors
/// As [`lock`].
pub(super) async fn lock_expired(
    tx: &mut PgConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Rows, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM payments WHERE status = 'intent' AND deadline_ms <= $1 \
             AND (expire_again_at IS NULL OR expire_again_at <= now()) \
         ORDER BY deadline_ms LIMIT $2 FOR UPDATE SKIP LOCKED"
    );
    let query = sqlx::query(sql).bind(now.millis()).bind(limit as i64);
    query.fetch_all(tx).await?.iter().map(read).collect()
}

/// Claims up to `limit` payments that are due, with `token`: for `lease` no other instance can
/// claim them.
///
/// # Errors
/// As [`lock`].
pub(super) async fn claim_due(
    connection: &mut PgConnection,
    limit: usize,
    token: Uuid,
    lease: Duration,
) -> Result<Rows, sqlx::Error> {
    let sql = concat!(
        "UPDATE payments SET lease_token = $1, attempts = attempts + 1, \
             due_at = now() + $2 * interval '1 second' \
         WHERE order_id IN (SELECT order_id FROM payments WHERE due_at <= now() \
             ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
         RETURNING ",
        columns!()
    );
    let query = sqlx::query(sql).bind(token).bind(lease.as_secs_f64());
    query.bind(limit as i64).fetch_all(connection).await?.iter().map(read).collect()
}

/// What comes next after `now`.
///
/// # Errors
/// When the database is away.
pub(super) async fn agenda(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<Agenda, sqlx::Error> {
    type Next = (Option<f64>, Option<f64>, i64, i64, Option<f64>);
    let (due_in_s, deadline_in_s, messages, again, age_s): Next = sqlx::query_as(
        "SELECT (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM payments \
                 WHERE due_at IS NOT NULL), \
                (SELECT (min(deadline_ms) - $1)::float8 / 1000 FROM payments \
                 WHERE status = 'intent' \
                     AND (expire_again_at IS NULL OR expire_again_at <= now())), \
                count(*), count(*) FILTER (WHERE times > 1), \
                extract(epoch FROM now() - min(written_at))::float8 \
         FROM outbox_unreturned",
    )
    .bind(now.millis())
    .fetch_one(connection)
    .await?;
    // Far enough ahead is the same as never, and a `Duration` has its bounds.
    let wait = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    let unreturned = age_s.map(|age_s| Unreturned {
        messages: messages.unsigned_abs(),
        again: again.unsigned_abs(),
        age: wait(age_s),
    });
    let (due_in, deadline_in) = (due_in_s.map(wait), deadline_in_s.map(wait));
    Ok(Agenda { due_in, deadline_in, unreturned })
}

/// Writes the rows, new or known. A claim on one of them ends.
///
/// # Errors
/// When the database is away.
pub(super) async fn upsert(tx: &mut PgConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(rows: &'a [Row], value: impl Fn(&'a Row) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let text = |text: &Option<String>| text.as_deref().map(storable);
    let orders: Result<Vec<String>, _> =
        rows.iter().map(|row| serde_json::to_string(&row.payment.order)).collect();
    sqlx::query(
        "INSERT INTO payments AS known (order_id, status, void_due, reference, \"order\", \
             deadline_ms, causationid, correlationid, traceparent, lineage, callerid, attempts, \
             last_error, due_at) \
         SELECT order_id, status, void_due, reference, order_text::json, deadline_ms, causationid, \
             correlationid, traceparent, lineage, callerid, attempts, last_error, \
             now() + due_in_s * (0.5 + random() / 2) * interval '1 second' \
         FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::bigint[], \
                 $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::int[], \
                 $13::text[], $14::float8[]) \
             AS given (order_id, status, void_due, reference, order_text, deadline_ms, \
                 causationid, correlationid, traceparent, lineage, callerid, attempts, last_error, \
                 due_in_s) \
         ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, \
             void_due = excluded.void_due, reference = excluded.reference, \
             \"order\" = excluded.\"order\", \
             causationid = excluded.causationid, correlationid = excluded.correlationid, \
             traceparent = excluded.traceparent, lineage = excluded.lineage, \
             callerid = excluded.callerid, \
             attempts = excluded.attempts, last_error = excluded.last_error, \
             due_at = excluded.due_at, lease_token = NULL, expire_again_at = NULL, \
             updated_at = now()",
    )
    .bind(column(rows, |row| row.payment.order.order_id.0))
    .bind(column(rows, |row| row.payment.status.as_str()))
    .bind(column(rows, |row| row.payment.void_due))
    .bind(column(rows, |row| text(&row.payment.reference)))
    .bind(orders.map_err(|error| sqlx::Error::Encode(error.into()))?)
    .bind(column(rows, |row| row.payment.order.deadline.millis()))
    .bind(column(rows, |row| text(&row.cause.address)))
    .bind(column(rows, |row| text(&row.cause.correlation_id)))
    .bind(column(rows, |row| text(&row.cause.traceparent)))
    .bind(column(rows, |row| text(&row.cause.lineage)))
    .bind(column(rows, |row| text(&row.cause.caller)))
    .bind(column(rows, |row| i32::try_from(row.attempts).unwrap_or(i32::MAX)))
    .bind(column(rows, |row| text(&row.last_error)))
    .bind(column(rows, |row| row.due_in.map(|wait| wait.as_secs_f64())))
    .execute(tx)
    .await?;
    Ok(())
}

/// Leaves the payments alone for a while. A claim on one of them ends.
///
/// # Errors
/// When the database is away.
pub(super) async fn set_aside(tx: &mut PgConnection, aside: &[Aside]) -> Result<(), sqlx::Error> {
    if aside.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE payments SET last_error = given.cause, lease_token = NULL, updated_at = now(), \
             due_at = CASE WHEN due_at IS NOT NULL THEN now() + wait END, \
             expire_again_at = CASE WHEN expired THEN now() + wait ELSE expire_again_at END \
         FROM (SELECT id, cause, wait_s * interval '1 second' AS wait, expired \
             FROM unnest($1::uuid[], $2::text[], $3::float8[], $4::bool[]) \
                 AS one (id, cause, wait_s, expired)) AS given \
         WHERE order_id = id",
    )
    .bind(aside.iter().map(|one| one.order_id.0).collect::<Vec<_>>())
    .bind(aside.iter().map(|one| storable(&one.cause)).collect::<Vec<_>>())
    .bind(aside.iter().map(|one| one.retry_in.as_secs_f64()).collect::<Vec<_>>())
    .bind(aside.iter().map(|one| one.expired).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// One malformed row must not count as a failure of the database.
fn read(from: &PgRow) -> Result<(OrderId, Result<Row, String>), sqlx::Error> {
    let row = row(from).map_err(|error| format!("the payment cannot be read: {error}"));
    Ok((OrderId(from.try_get("order_id")?), row))
}

fn row(from: &PgRow) -> Result<Row, sqlx::Error> {
    let decode = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    let status: String = from.try_get("status")?;
    let known = Status::ALL.into_iter().find(|known| known.as_str() == status);
    let order: String = from.try_get("order")?;
    let payment = Payment {
        order: serde_json::from_str(&order).map_err(decode)?,
        status: known.ok_or_else(|| sqlx::Error::Decode(format!("no status: {status}").into()))?,
        void_due: from.try_get("void_due")?,
        reference: from.try_get("reference")?,
    };
    let cause = Cause {
        address: from.try_get("causationid")?,
        correlation_id: from.try_get("correlationid")?,
        traceparent: from.try_get("traceparent")?,
        lineage: from.try_get("lineage")?,
        caller: from.try_get("callerid")?,
    };
    let attempts: i32 = from.try_get("attempts")?;
    let last_error = from.try_get("last_error")?;
    Ok(Row { payment, cause, attempts: attempts.unsigned_abs(), last_error, due_in: None })
}
