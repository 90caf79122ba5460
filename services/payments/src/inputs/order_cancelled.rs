//! OrderCancelled: payments refunds a paid order.

use super::{NotForUs, Reaction};
use crate::domain::Input;
use contracts::{Order, Status};

/// Refund what is due.
pub(super) fn reaction(order: Order) -> Reaction {
    match order.status {
        Status::RefundDue => Reaction::Decide(order.order_id, Input::RefundDue(order).into()),
        Status::Cancelled => Reaction::Nothing(NotForUs::Settled),
        // No OrderCancelled leads here: the record was checked against the baton table.
        Status::Requested
        | Status::Validated
        | Status::Paid
        | Status::PaymentDeclined
        | Status::Confirmed
        | Status::Rejected
        | Status::Refunded => Reaction::Nothing(NotForUs::OrdersHoldsTheBaton),
    }
}
