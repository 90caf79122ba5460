//! The orders of a customer, newest first. Guarded by version.

use super::{Amount, Definition, cut, time};
use crate::batch::Fresh;
use contracts::{CustomerId, OrderId, topics::ORDERS};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) const DEFINITION: Definition = Definition {
    name: "customer-orders",
    topics: &[&ORDERS.spec],
    tables: &["customer_orders"],
    ddl: "
        CREATE TABLE customer_orders (
            order_id     uuid   PRIMARY KEY,
            customer_id  text   NOT NULL,
            version      bigint NOT NULL,
            status       text   NOT NULL,
            total_minor  bigint NOT NULL,
            currency     text   NOT NULL,
            requested_at bigint NOT NULL
        );
        CREATE INDEX customer_orders_newest
            ON customer_orders (customer_id, requested_at DESC, order_id DESC)",
    revision: 1,
    keep: None,
};

/// A page of a customer's orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerOrders {
    /// The customer.
    #[schema(value_type = String)]
    pub customer_id: CustomerId,
    /// Newest first.
    pub orders: Vec<OrderSummary>,
    /// What to pass as `before` for the next page; null on the last one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<Uuid>,
}

/// An order in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderSummary {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    pub order_id: Uuid,
    /// As in `GET /orders/{id}`.
    #[schema(example = "confirmed")]
    pub status: String,
    /// Transitions so far.
    pub version: i64,
    /// Sum over the lines.
    pub total: Amount,
    /// RFC 3339.
    pub requested_at: String,
}

const UPSERT: &str = "
    INSERT INTO customer_orders AS known
        (order_id, customer_id, version, status, total_minor, currency, requested_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
        $6::text[], $7::bigint[])
    ON CONFLICT (order_id) DO UPDATE SET
        customer_id = excluded.customer_id, version = excluded.version, status = excluded.status,
        total_minor = excluded.total_minor, currency = excluded.currency,
        requested_at = excluded.requested_at
    WHERE known.version < excluded.version";

/// Show the last state of each order.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let orders = fresh.latest();
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(UPSERT)
        .bind(orders.iter().map(|order| order.order_id.0).collect::<Vec<_>>())
        .bind(orders.iter().map(|o| o.customer.customer_id.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.version).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.status.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.total.amount_minor).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.total.currency.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.requested_at.millis()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

const LIST: &str = "
    SELECT order_id, status, version, total_minor, currency, requested_at
    FROM customer_orders
    WHERE customer_id = $1 AND ($2::uuid IS NULL OR (requested_at, order_id) <
        (SELECT requested_at, order_id FROM customer_orders WHERE order_id = $2))
    ORDER BY requested_at DESC, order_id DESC
    LIMIT $3";

/// The `limit` newest orders of a customer, or those older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    customer_id: &CustomerId,
    before: Option<OrderId>,
    limit: u32,
) -> sqlx::Result<CustomerOrders> {
    let mut rows: Vec<(Uuid, String, i64, i64, String, i64)> = sqlx::query_as(LIST)
        .bind(customer_id.as_str())
        .bind(before.map(|order_id| order_id.0))
        // One more than asked for tells whether there is another page.
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await?;
    let more = cut(&mut rows, limit);
    let summary = |(order_id, status, version, amount_minor, currency, requested_at)| {
        let (total, requested_at) = (Amount { amount_minor, currency }, time(requested_at));
        OrderSummary { order_id, status, version, total, requested_at }
    };
    let orders: Vec<_> = rows.into_iter().map(summary).collect();
    let next = orders.last().filter(|_| more).map(|order| order.order_id);
    Ok(CustomerOrders { customer_id: customer_id.clone(), orders, next })
}
