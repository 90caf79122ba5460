//! An order taken apart: what each of its transitions asks of the stock of each of its products.
//!
//! An order spans several products, and each product has one writer, the owner of its partition.
//! So the order is split into one command per line, keyed by sku, and nobody has to lock two
//! products at once. All-or-nothing comes from the order's own life: one refused line rejects the
//! order, and the rejection releases the others.

use contracts::{
    Order, OrderLine, Timestamp,
    inventory::{Commit, InventoryCommand, Release, Reserve},
    orders::{LINES_MAX, QUANTITY_MAX},
};
use std::{collections::BTreeSet, fmt};

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

/// Hold every line.
///
/// # Errors
/// [`Impossible`] if no shop takes such an order.
pub fn reserve(order: &Order, issued_at: Timestamp) -> Result<Vec<InventoryCommand>, Impossible> {
    each_line(order, |OrderLine { sku, quantity, .. }| {
        let (sku, order_id, quantity) = (sku.clone(), order.order_id, *quantity);
        Reserve { sku, order_id, quantity, issued_at }.into()
    })
}

/// Give every line back.
///
/// # Errors
/// [`Impossible`] if no shop takes such an order.
pub fn release(order: &Order, issued_at: Timestamp) -> Result<Vec<InventoryCommand>, Impossible> {
    each_line(order, |OrderLine { sku, .. }| {
        Release { sku: sku.clone(), order_id: order.order_id, issued_at }.into()
    })
}

/// Let every line leave the house.
///
/// # Errors
/// [`Impossible`] if no shop takes such an order.
pub fn commit(order: &Order, issued_at: Timestamp) -> Result<Vec<InventoryCommand>, Impossible> {
    each_line(order, |OrderLine { sku, .. }| {
        Commit { sku: sku.clone(), order_id: order.order_id, issued_at }.into()
    })
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
