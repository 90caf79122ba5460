//! The order as it was after each of its transitions: what `GET /orders/{id}?version=` and `?at=`
//! answer. One row per (order, version), never changed. The timeline says what happened, this what
//! the order was then.

use super::{Definition, order::OrderView};
use crate::batch::Fresh;
use contracts::{OrderId, Timestamp, topics::ORDERS};
use sqlx::{PgConnection, PgPool, types::Json};

pub(super) const DEFINITION: Definition = Definition {
    name: "versions",
    topics: &[&ORDERS.spec],
    tables: &["order_versions"],
    ddl: "
        CREATE TABLE order_versions (
            order_id    uuid   NOT NULL,
            version     bigint NOT NULL,
            occurred_at bigint NOT NULL,
            body        jsonb  NOT NULL,
            PRIMARY KEY (order_id, version)
        )",
    revision: 1,
    keep: None,
};

/// Which of an order's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// That after this transition.
    Version(i64),
    /// That at this time, by the clocks of those who wrote the transitions.
    At(Timestamp),
}

const INSERT: &str = "
    INSERT INTO order_versions (order_id, version, occurred_at, body)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::jsonb[])
    ON CONFLICT (order_id, version) DO NOTHING";

/// Keep the orders as they are after each transition.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let all = &fresh.taken;
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query(INSERT)
        .bind(all.iter().map(|arrived| arrived.order.order_id.0).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.version).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| arrived.order.occurred_at.millis()).collect::<Vec<_>>())
        .bind(all.iter().map(|arrived| Json(OrderView::from(arrived.order))).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

const FIND: &str = "
    SELECT body FROM order_versions
    WHERE order_id = $1 AND ($2::bigint IS NULL OR version = $2)
        AND ($3::bigint IS NULL OR occurred_at <= $3)
    ORDER BY version DESC
    LIMIT 1";

/// The order as it was; none if it was not there yet, or the view did not keep it then.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, order_id: OrderId, past: Past) -> sqlx::Result<Option<OrderView>> {
    let (version, at) = match past {
        Past::Version(version) => (Some(version), None),
        Past::At(at) => (None, Some(at.millis())),
    };
    let found: Option<Json<OrderView>> = sqlx::query_scalar(FIND)
        .bind(order_id.0)
        .bind(version)
        .bind(at)
        .fetch_optional(pool)
        .await?;
    Ok(found.map(|Json(order)| order))
}
