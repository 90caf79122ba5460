//! The order as it is now: what `GET /orders/{id}` answers. Guarded by version.

pub use crate::shapes::order::{LineView, OrderView, PaymentView};

use super::{
    Amount, Definition, OfOrder, ReasonView, ViewName,
    refusals::{self, RefusalRow, RefusalView},
    time, uuids,
};
use crate::{batch::Fresh, domain::goal::Standing, shapes::standing};
use contracts::{Order, OrderId, topics::ORDERS};
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Which orders have not ended, as the index of those has it.
pub(super) const OPEN: &str = "status NOT IN ('confirmed', 'rejected', 'cancelled', 'refunded')";

/// Times are milliseconds since 1970, as in the events. The index is of the open orders, which are
/// few: who asks what waits reads no order that has ended.
pub(super) const DEFINITION: Definition = Definition {
    name: "orders",
    topics: &[&ORDERS.spec],
    tables: &["orders"],
    ddl: "
        CREATE TABLE orders (
            order_id     uuid   PRIMARY KEY,
            version      bigint NOT NULL,
            status       text   NOT NULL,
            customer_id  text   NOT NULL,
            lines        jsonb  NOT NULL,
            total_minor  bigint NOT NULL,
            currency     text   NOT NULL,
            payment      jsonb,
            reasons      jsonb  NOT NULL,
            requested_at bigint NOT NULL,
            deadline     bigint NOT NULL,
            note         text   NOT NULL
        );
        CREATE INDEX orders_open ON orders (order_id, version)
            WHERE status NOT IN ('confirmed', 'rejected', 'cancelled', 'refunded')",
    revision: 1,
    keep: None,
};

impl OrderView {
    fn of(order_id: OrderId, order: Option<OrderRow>, refusals: Vec<RefusalRow>) -> Option<Self> {
        let is_refused = refusals::no_order(&refusals);
        let refusals: Vec<_> = refusals.into_iter().map(RefusalView::from).collect();
        let Some(order) = order else {
            return is_refused.then(|| Self::refused(order_id, refusals));
        };
        Some(Self {
            order_id,
            customer_id: Some(order.customer_id),
            status: order.status,
            version: order.version,
            lines: order.lines,
            note: order.note,
            total: Some(Amount { amount_minor: order.total_minor, currency: order.currency }),
            payment: order.payment,
            reasons: order.reasons,
            requested_at: Some(time(order.requested_at)),
            deadline: Some(time(order.deadline)),
            refusals,
        })
    }
}

const UPSERT: &str = "
    INSERT INTO orders AS known (order_id, version, status, customer_id, lines, total_minor,
        currency, payment, reasons, requested_at, deadline, note)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[],
        $6::bigint[], $7::text[], $8::jsonb[], $9::jsonb[], $10::bigint[], $11::bigint[],
        $12::text[])
    ON CONFLICT (order_id) DO UPDATE SET
        version = excluded.version, status = excluded.status, customer_id = excluded.customer_id,
        lines = excluded.lines, total_minor = excluded.total_minor, currency = excluded.currency,
        payment = excluded.payment, reasons = excluded.reasons,
        requested_at = excluded.requested_at, deadline = excluded.deadline, note = excluded.note
    WHERE known.version < excluded.version";

/// Show the last state of each order.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let orders = fresh.latest();
    if orders.is_empty() {
        return Ok(());
    }
    let lines = |order: &&Order| Json(order.lines.iter().map(LineView::from).collect::<Vec<_>>());
    let payment = |order: &&Order| order.payment.as_ref().map(PaymentView::from).map(Json);
    let reasons = |o: &&Order| Json(o.reasons.iter().map(ReasonView::from).collect::<Vec<_>>());
    sqlx::query(UPSERT)
        .bind(orders.iter().map(|order| order.order_id.0).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.version).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.status.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|o| o.customer.customer_id.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(lines).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.total.amount_minor).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.total.currency.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(payment).collect::<Vec<_>>())
        .bind(orders.iter().map(reasons).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.requested_at.millis()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.deadline.millis()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.note.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

#[derive(Debug, Deserialize)]
struct OrderRow {
    customer_id: String,
    status: String,
    version: i64,
    lines: Vec<LineView>,
    total_minor: i64,
    currency: String,
    payment: Option<PaymentView>,
    reasons: Vec<ReasonView>,
    requested_at: i64,
    deadline: i64,
    note: String,
}

const FIND: &str = "
    SELECT
        asked.order_id,
        (SELECT to_jsonb(o) FROM orders AS o WHERE o.order_id = asked.order_id),
        (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.refused_at, r.command_id), '[]')
         FROM (SELECT * FROM refusals AS all_of WHERE all_of.order_id = asked.order_id
               ORDER BY refused_at DESC, command_id DESC LIMIT 50) AS r)
    FROM unnest($1::uuid[]) AS asked (order_id)";

type Found = (Uuid, Option<Json<OrderRow>>, Json<Vec<RefusalRow>>);

impl OfOrder for OrderView {
    const NEEDS: &[ViewName] = &[ViewName::Orders, ViewName::Refusals];

    /// Each order, or how it was refused.
    async fn find_all(pool: &PgPool, orders: &[OrderId]) -> sqlx::Result<BTreeMap<OrderId, Self>> {
        let found: Vec<Found> = sqlx::query_as(FIND).bind(uuids(orders)).fetch_all(pool).await?;
        let views = found.into_iter().filter_map(|(id, order, Json(refusals))| {
            let id = OrderId(id);
            Some((id, Self::of(id, order.map(|Json(order)| order), refusals)?))
        });
        Ok(views.collect())
    }

    fn standing(&self) -> Standing {
        standing(&self.status, self.version)
    }
}
