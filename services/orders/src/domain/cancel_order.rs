//! CancelOrder: orders remembers it until the order is settled, and acts when it has the baton.

use crate::domain::Entry;
use contracts::{CommandId, Reason, Status, Timestamp, orders::CancelOrder};

// State: an Entry.

/// A CancelOrder, and where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// The command.
    pub command: &'a CancelOrder,
    /// Its offset on its partition of `orders.commands`.
    pub offset: i64,
}

/// What becomes of a CancelOrder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is a promise from now on: the order will be cancelled because of this command.
    Remembered(CommandId),
    /// It comes too late or too early, and why.
    Refused(Reason),
    /// A cancellation is remembered already; this one adds nothing.
    Repeated,
}

/// Decide on a CancelOrder. Nothing of it depends on the time.
///
/// What is [`Decision::Remembered`] always ends in a cancelled order: whatever happens first, no
/// path leads from there to a confirmed or a rejected one.
pub fn decide(entry: &Entry, Input { command, offset }: Input<'_>, _now: Timestamp) -> Decision {
    let Some(order) = entry.standing() else { return Decision::Refused(unknown(command)) };
    if entry.placed_at.is_some_and(|placed_at| offset < placed_at) {
        return Decision::Refused(unknown(command));
    }
    // Nor is one of another customer, to whom it must look as if it were not there.
    let owner = &order.customer.customer_id;
    if command.customer_id.as_ref().is_some_and(|customer| customer != owner) {
        return Decision::Refused(unknown(command));
    }
    if entry.cancellation.is_some() {
        return Decision::Repeated;
    }
    match order.status {
        Status::Requested | Status::Validated | Status::Paid | Status::PaymentDeclined => {
            Decision::Remembered(command.command_id)
        }
        Status::RefundDue
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Refunded => Decision::Refused(already(order.status)),
    }
}

/// What is known after `decision`.
pub fn evolve(mut entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Remembered(command_id) => entry.cancellation = Some(*command_id),
        Decision::Refused(_) | Decision::Repeated => {}
    }
    entry
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
