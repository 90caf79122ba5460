//! CancelOrder: remembered at any time before the order is settled, acted upon when the baton is
//! here.

use crate::domain::Entry;
use contracts::{CommandId, Reason, Status, orders::CancelOrder};

/// What becomes of a CancelOrder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is a promise from now on: the order will be cancelled.
    Remembered,
    /// It comes too late or too early, and why.
    Refused(Reason),
    /// A cancellation is remembered already; this one adds nothing.
    Repeated,
}

/// Decide on `command`, which stands at `offset` of its partition of `orders.commands`.
///
/// What is [`Decision::Remembered`] always ends in a cancelled order: whatever happens first, no
/// path leads from there to a confirmed or a rejected one.
pub fn decide(entry: &Entry, command: &CancelOrder, offset: i64) -> Decision {
    let Some(order) = entry.standing() else { return Decision::Refused(unknown(command)) };
    if entry.placed_at.is_some_and(|placed_at| offset < placed_at) {
        return Decision::Refused(unknown(command));
    }
    if entry.cancellation.is_some() {
        return Decision::Repeated;
    }
    match order.status {
        Status::Requested | Status::Validated | Status::Paid | Status::PaymentDeclined => {
            Decision::Remembered
        }
        Status::RefundDue
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Refunded => Decision::Refused(already(order.status)),
    }
}

/// Remember the cancellation.
pub fn evolve(entry: &mut Entry, command_id: CommandId) {
    entry.cancellation = Some(command_id);
}

fn unknown(command: &CancelOrder) -> Reason {
    let detail = format!("there is no order {}", command.order_id);
    Reason::new("order_id", "unknown_order", detail)
}

fn already(status: Status) -> Reason {
    let detail = match status {
        Status::RefundDue => "the order is cancelled already, and its money is on the way back",
        Status::Confirmed => "the order is confirmed: the goods are on their way",
        Status::Rejected => "the order was rejected",
        Status::Cancelled => "the order is cancelled already",
        Status::Refunded => "the order is cancelled already, and its money is back",
        Status::Requested | Status::Validated | Status::Paid | Status::PaymentDeclined => {
            "the order can still be cancelled"
        }
    };
    Reason::new("status", format!("already_{status}"), detail)
}
