//! Splits an order: the command of each transition for each of its products.
//!
//! An order has several products, and each product has one writer, the owner of its partition. So
//! inventory splits the order into one command per line, keyed by sku, and no process locks two
//! products at once. All-or-nothing needs no more: a refused line rejects the order, and the
//! rejection releases the other lines.

use contracts::{
    Order, OrderLine, Timestamp, TransitionKind,
    inventory::{Commit, InventoryCommand, Release, Reserve},
    orders::{LINES_MAX, QUANTITY_MAX},
};
use std::{collections::BTreeSet, fmt};

/// State: none. The transition says all there is to do, so nothing evolves either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stateless;

// Input: an Order, as it is after a transition.

/// What a transition asks of inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// One command per line.
    Split(Vec<InventoryCommand>),
    /// Nothing.
    Ignored(NoOp),
    /// No shop takes such an order.
    Impossible(Impossible),
}

/// Why a transition asks nothing of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOp {
    /// The order is on its way; what it holds stays held until it is settled or cancelled.
    StaysReserved,
    /// The goods were given back when the order was cancelled.
    ReleasedBefore,
}

/// What is wrong with an order's lines. Nothing of such an order is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impossible {
    /// None, or more than [`LINES_MAX`].
    LineCount(usize),
    /// Not 1 to [`QUANTITY_MAX`].
    Quantity(OrderLine),
    /// Two lines are about one product: the second Reserve would pass for a repetition.
    SkuTwice(OrderLine),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineCount(found) => {
                write!(f, "an order has 1 to {LINES_MAX} lines, this one has {found}")
            }
            Self::Quantity(OrderLine { sku, quantity, .. }) => {
                write!(f, "a line has 1 to {QUANTITY_MAX} pieces, that of {sku} has {quantity}")
            }
            Self::SkuTwice(OrderLine { sku, .. }) => write!(f, "two lines are about {sku}"),
        }
    }
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
    split.map_or_else(Decision::Impossible, Decision::Split)
}

fn each_line(
    order: &Order,
    command: impl Fn(&OrderLine) -> InventoryCommand,
) -> Result<Vec<InventoryCommand>, Impossible> {
    check(&order.lines)?;
    Ok(order.lines.iter().map(command).collect())
}

fn check(lines: &[OrderLine]) -> Result<(), Impossible> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(Impossible::LineCount(lines.len()));
    }
    let mut skus = BTreeSet::new();
    for line in lines {
        if !(1..=QUANTITY_MAX).contains(&line.quantity) {
            return Err(Impossible::Quantity(line.clone()));
        }
        if !skus.insert(&line.sku) {
            return Err(Impossible::SkuTwice(line.clone()));
        }
    }
    Ok(())
}
