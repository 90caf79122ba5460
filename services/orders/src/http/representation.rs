//! An order as JSON, with the same members as the view's `GET /orders/{id}`.

use contracts::{Money, Order, OrderLine, Payment, Reason};
use serde::Serialize;
use utoipa::ToSchema;

/// An order as the view shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    /// UUID.
    order_id: String,
    /// The customer.
    customer_id: String,
    /// The status of the order: requested, validated, paid, payment_declined, confirmed, rejected,
    /// cancelled, refund_due or refunded.
    status: &'static str,
    /// 1 for the request, +1 with each transition.
    version: i64,
    /// What was ordered.
    lines: Vec<LineBody>,
    /// What the customer asked for in their own words; empty if nothing.
    note: String,
    /// Sum over the lines.
    total: MoneyBody,
    /// Where the money is, once payments has said so.
    payment: Option<PaymentBody>,
    /// Why the order did not go the straight way, oldest first.
    reasons: Vec<ReasonBody>,
    /// RFC 3339.
    requested_at: String,
    /// RFC 3339.
    deadline: String,
}

/// One product in an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderLine)]
struct LineBody {
    sku: String,
    name: String,
    quantity: i32,
    unit_price_minor: i64,
    total_minor: i64,
}

/// Minor units of a currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Money)]
struct MoneyBody {
    amount_minor: i64,
    currency: String,
}

/// The payment of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentBody {
    /// captured, declined or refunded.
    status: &'static str,
    amount: MoneyBody,
    /// The bank's id of the capture.
    reference: Option<String>,
    /// RFC 3339.
    decided_at: String,
}

/// Why an order, or a command, did not go the straight way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonBody {
    /// Its source: a check such as `inventory:LAST`, or `deadline`, `payment`, a member's path.
    check: String,
    /// Stable, for programs.
    code: String,
    /// For people.
    detail: String,
}

impl From<&Order> for OrderBody {
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.order_id.to_string(),
            customer_id: order.customer.customer_id.to_string(),
            status: order.status.as_str(),
            version: order.version,
            lines: order.lines.iter().map(LineBody::from).collect(),
            note: order.note.to_string(),
            total: MoneyBody::from(&order.total),
            payment: order.payment.as_ref().map(PaymentBody::from),
            reasons: order.reasons.iter().map(ReasonBody::from).collect(),
            requested_at: order.requested_at.rfc3339(),
            deadline: order.deadline.rfc3339(),
        }
    }
}

impl From<&OrderLine> for LineBody {
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

impl From<&Money> for MoneyBody {
    fn from(money: &Money) -> Self {
        Self { amount_minor: money.amount_minor, currency: money.currency.to_string() }
    }
}

impl From<&Payment> for PaymentBody {
    fn from(payment: &Payment) -> Self {
        Self {
            status: payment.status.as_str(),
            amount: MoneyBody::from(&payment.amount),
            reference: payment.reference.clone(),
            decided_at: payment.decided_at.rfc3339(),
        }
    }
}

impl From<&Reason> for ReasonBody {
    fn from(reason: &Reason) -> Self {
        let Reason { check, code, detail, .. } = reason.clone();
        Self { check, code, detail }
    }
}
