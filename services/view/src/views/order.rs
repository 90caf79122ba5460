//! The order as it is now: what `GET /orders/{id}` answers. Guarded by version.

use super::{
    Amount, Definition, OfOrder, ReasonView, ViewName,
    refusals::{self, RefusalRow, RefusalView},
    time, uuids,
};
use crate::{batch::Fresh, domain::goal::Standing};
use contracts::{Order, OrderId, OrderLine, Payment, Status, topics::ORDERS};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Times are milliseconds since 1970, as in the events.
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
        )",
    revision: 1,
    keep: None,
};

/// The status of an order that does not exist, because the command about it was refused.
const REFUSED: &str = "refused";

/// An order, or what became of the wish for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    pub order_id: OrderId,
    /// The customer; null if orders refused the order.
    pub customer_id: Option<String>,
    /// One of requested, validated, paid, payment_declined, confirmed, rejected, cancelled,
    /// refund_due, refunded, refused.
    #[schema(example = "confirmed")]
    pub status: String,
    /// Transitions so far; 0 if the order was refused.
    pub version: i64,
    /// What was ordered, at the prices of the time.
    pub lines: Vec<LineView>,
    /// What the customer asked for in their own words; empty if nothing.
    pub note: String,
    /// Sum over the lines; null if the order was refused.
    pub total: Option<Amount>,
    /// The payment section, once there is one.
    pub payment: Option<PaymentView>,
    /// Why the order did not go the straight way, oldest first.
    pub reasons: Vec<ReasonView>,
    /// RFC 3339; null if the order was refused.
    pub requested_at: Option<String>,
    /// When the order is ended by force: RFC 3339; null if the order was refused.
    pub deadline: Option<String>,
    /// Commands about this order that changed nothing: the newest 50, oldest first.
    pub refusals: Vec<RefusalView>,
}

/// One product in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineView {
    /// The product.
    pub sku: String,
    /// Its name when it was ordered.
    pub name: String,
    /// Pieces.
    pub quantity: i32,
    /// Price of one piece.
    pub unit_price_minor: i64,
    /// Price of all pieces.
    pub total_minor: i64,
}

/// Where the money of an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentView {
    /// captured, declined or refunded.
    #[schema(example = "captured")]
    pub status: String,
    /// What was captured, declined or refunded.
    pub amount: Amount,
    /// The bank's id of the capture, if there is one.
    pub reference: Option<String>,
    /// RFC 3339.
    pub decided_at: String,
}

impl From<&OrderLine> for LineView {
    fn from(line: &OrderLine) -> Self {
        Self {
            sku: line.sku.to_string(),
            name: line.name.to_string(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor.minor(),
            total_minor: line.total_minor(),
        }
    }
}

impl From<&Payment> for PaymentView {
    fn from(payment: &Payment) -> Self {
        Self {
            status: payment.status.as_str().into(),
            amount: Amount::from(&payment.amount),
            reference: payment.reference.clone(),
            decided_at: time(payment.decided_at.millis()),
        }
    }
}

impl From<&Order> for OrderView {
    /// The order as its event has it, which knows of no refusal.
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.order_id,
            customer_id: Some(order.customer.customer_id.to_string()),
            status: order.status.as_str().into(),
            version: order.version,
            lines: order.lines.iter().map(LineView::from).collect(),
            note: order.note.to_string(),
            total: Some(Amount::from(&order.total)),
            payment: order.payment.as_ref().map(PaymentView::from),
            reasons: order.reasons.iter().map(ReasonView::from).collect(),
            requested_at: Some(time(order.requested_at.millis())),
            deadline: Some(time(order.deadline.millis())),
            refusals: Vec::new(),
        }
    }
}

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

    fn refused(order_id: OrderId, refusals: Vec<RefusalView>) -> Self {
        Self {
            order_id,
            customer_id: None,
            status: REFUSED.into(),
            version: 0,
            lines: Vec::new(),
            note: String::new(),
            total: None,
            payment: None,
            reasons: refusals.iter().flat_map(|refusal| refusal.reasons.clone()).collect(),
            requested_at: None,
            deadline: None,
            refusals,
        }
    }
}

/// The progress of an order whose status in the tables is `status`.
pub(crate) fn standing(status: &str, version: i64) -> Standing {
    let known = Status::ALL.into_iter().find(|known| known.as_str() == status);
    known.map_or(Standing::Refused, |status| Standing::Shown { status, version })
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
