//! Splits an order: the command of each transition for each of its products.
//!
//! An order has several products, and each product has one writer, the owner of its partition. So
//! inventory splits the order into one command per line, keyed by sku, and no process locks two
//! products at once. All-or-nothing needs no more: a refused line rejects the order, and the
//! rejection releases the other lines.

use contracts::{
    Order, OrderLine, Timestamp, TransitionKind,
    inventory::{Commit, InventoryCommand, Release, Reserve},
};
/// State: none. The transition says all there is to do, so nothing evolves either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stateless;

// Input: an Order, as it is after a transition, in its bounds ([`Order::check_written`]).

/// What a transition asks of inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// One command per line.
    Split(Vec<InventoryCommand>),
    /// Nothing.
    Ignored(NoOp),
}

/// Why a transition asks nothing of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOp {
    /// The order is on its way; what it holds stays held until it is settled or cancelled.
    StaysReserved,
    /// The goods were given back when the order was cancelled.
    ReleasedBefore,
}

/// What the last transition of `order` asks of inventory.
pub fn decide(_: &Stateless, order: &Order, now: Timestamp) -> Decision {
    let order_id = order.order_id;
    let split = match order.transition {
        TransitionKind::OrderRequested => {
            each_line(order, |OrderLine { sku, quantity, .. }| {
                let (sku, quantity) = (sku.clone(), *quantity);
                Reserve { sku, order_id, quantity, issued_at: now }.into()
            })
        }
        // Also when a refund is due: what was paid for and then cancelled is not sent. Of a
        // rejected order those lines that were refused have nothing to give back.
        TransitionKind::OrderRejected | TransitionKind::OrderCancelled => {
            each_line(order, |OrderLine { sku, .. }| {
                Release { sku: sku.clone(), order_id, issued_at: now }.into()
            })
        }
        TransitionKind::OrderConfirmed => each_line(order, |OrderLine { sku, .. }| {
            Commit { sku: sku.clone(), order_id, issued_at: now }.into()
        }),
        TransitionKind::OrderValidated
        | TransitionKind::PaymentReceived
        | TransitionKind::PaymentDeclined => return Decision::Ignored(NoOp::StaysReserved),
        TransitionKind::PaymentRefunded => return Decision::Ignored(NoOp::ReleasedBefore),
    };
    Decision::Split(split)
}

fn each_line(
    order: &Order,
    command: impl Fn(&OrderLine) -> InventoryCommand,
) -> Vec<InventoryCommand> {
    order.lines.iter().map(command).collect()
}
