//! [`Batch`]: what the records of one batch ask of the database.

use crate::domain::history::{Arrival, History, Impossible, Verdict, decide};
use contracts::{
    CommandId, Order, OrderId, Sku, Timestamp, catalog::Product, inventory::StockLevel,
    orders::CommandRefused,
};
use std::collections::{BTreeMap, BTreeSet};
use streams::Record;
use uuid::Uuid;

/// Gathered record by record, written at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Transitions, in the order of their arrival.
    pub orders: Vec<OrderRecord>,
    /// Refusals by command.
    pub refusals: BTreeMap<CommandId, CommandRefused>,
    /// The last row of each product.
    pub products: BTreeMap<Sku, ProductRow>,
    /// The newest level of each product.
    pub stock: BTreeMap<Sku, StockLevel>,
    /// Up to when each partition will have been applied.
    pub progress: BTreeMap<i32, Timestamp>,
}

/// A transition that is sound by itself.
#[derive(Debug, Clone)]
pub struct OrderRecord {
    /// Where it was read, and its headers.
    pub record: Record,
    /// The order after it.
    pub order: Order,
    /// Tells its bytes from any others.
    pub fingerprint: Uuid,
}

/// A row of the catalog, or that it is gone, with its place in the log: rows have no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRow {
    /// None once it was deleted.
    pub product: Option<Product>,
    /// Partition of the log.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

impl OrderRecord {
    /// As [`decide`] wants it.
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival { order: &self.order, fingerprint: self.fingerprint }
    }
}

impl Batch {
    /// The orders that the transitions are about.
    pub fn order_ids(&self) -> BTreeSet<OrderId> {
        self.orders.iter().map(|arrived| arrived.order.order_id).collect()
    }

    /// What each transition means, one after the other, for orders with these `histories`.
    pub fn judge(
        &self,
        mut histories: BTreeMap<OrderId, History>,
    ) -> Vec<Result<Verdict, Impossible>> {
        let judge = |arrived: &OrderRecord| {
            let history = histories.entry(arrived.order.order_id).or_default();
            let verdict = decide(history, arrived.arrival())?;
            match verdict {
                Verdict::Next => history.evolve(arrived.arrival()),
                Verdict::Repeated => {}
            }
            Ok(verdict)
        };
        self.orders.iter().map(judge).collect()
    }
}
