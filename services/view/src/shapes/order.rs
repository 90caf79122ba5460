//! An order as `GET /orders/{id}` answers it.

use super::{Amount, ReasonView, refusal::RefusalView, time};
use contracts::{Order, OrderId, OrderLine, Payment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// What became of the wish for an order that was refused.
    pub fn refused(order_id: OrderId, refusals: Vec<RefusalView>) -> Self {
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
