//! [`Batch`]: the rows for the records of one batch.

use crate::{
    domain::history::{Arrival, Decision, History, decide, evolve},
    freshness::Reached,
};
use contracts::{
    CommandId, CustomerId, Order, OrderId, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::StockLevel,
    orders::CommandRefused,
};
use std::collections::{BTreeMap, BTreeSet};
use streams::Record;
use uuid::Uuid;

/// A record that has its place in the tables, and what it says.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Where it was read, its bytes and its headers.
    pub record: Record,
    /// What it says.
    pub news: News,
}

/// What a record says.
#[derive(Debug, Clone)]
pub enum News {
    /// An order has made a transition.
    Transition {
        /// The order after it.
        order: Box<Order>,
        /// Tells the record's bytes from any others.
        fingerprint: Uuid,
    },
    /// A command has changed nothing.
    Refused(CommandRefused),
    /// A row of the catalog was written, or deleted: then there is no product.
    Product(Sku, Option<Product>),
    /// The same of a customer.
    Customer(CustomerId, Option<CatalogCustomer>),
    /// A row of the catalog that cannot be read, and why. What it is about is hidden, as it cannot
    /// be ordered, or cannot order; and the record goes to the dead letters.
    Unreadable(Captured, String),
    /// Inventory has counted.
    Counted(StockLevel),
}

/// What a row of the catalog is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Captured {
    /// A product.
    Product(Sku),
    /// A customer.
    Customer(CustomerId),
}

/// What became of a record: it is shown, now or since before; or the cause why it never will be.
pub type Outcome = Result<(), String>;

/// How far partitions are shown.
pub type Progress = BTreeMap<i32, Reached<Timestamp>>;

/// What is written at once: records in the order of their arrival, and how far they lead.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The records.
    pub arrived: &'a [Arrived],
    /// How far each partition is shown when it is written.
    pub progress: &'a Progress,
    /// The time now.
    pub now: Timestamp,
}

/// A record about an order, as the views want it.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// Where it was read, and its headers.
    pub record: &'a Record,
    /// The order after it.
    pub order: &'a Order,
    /// Tells the record's bytes from any others.
    pub fingerprint: Uuid,
}

/// A row of the catalog, or that it is gone, with its place in the log: rows have no version.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a, T> {
    /// None once it was deleted, or cannot be read.
    pub captured: Option<&'a T>,
    /// Partition of the log.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// When it was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// The latest row of each key, in the order of the log. When a topic gets more partitions, a key
/// may move to another one: then the time decides.
fn latest<'a, K: Ord, T>(rows: impl Iterator<Item = (K, Row<'a, T>)>) -> BTreeMap<K, Row<'a, T>> {
    let mut latest: BTreeMap<K, Row<'a, T>> = BTreeMap::new();
    for (key, row) in rows {
        let is_later = |known: &Row<'_, T>| {
            known.partition == row.partition || known.timestamp_ms <= row.timestamp_ms
        };
        if latest.get(&key).is_none_or(is_later) {
            latest.insert(key, row);
        }
    }
    latest
}

/// What a batch brings to the views: the transitions that nothing has shown before, each once and
/// in order, and the rest of it, which each table guards.
#[derive(Debug, Clone)]
pub struct Fresh<'a> {
    /// Transitions that are taken with this batch.
    pub taken: Vec<Transition<'a>>,
    /// The batch.
    pub batch: Batch<'a>,
}

impl<'a> Fresh<'a> {
    /// The last state of each order, by id.
    pub fn latest(&self) -> Vec<&'a Order> {
        let latest: BTreeMap<OrderId, &Order> =
            self.taken.iter().map(|taken| (taken.order.order_id, taken.order)).collect();
        latest.into_values().collect()
    }
}

impl<'a> Transition<'a> {
    /// As [`decide`] wants it.
    pub fn arrival(&self) -> Arrival<'a> {
        Arrival { order: self.order, fingerprint: self.fingerprint }
    }
}

impl Arrived {
    /// What was captured with it, at its place.
    fn row<'a, T>(&self, captured: Option<&'a T>) -> Row<'a, T> {
        let Record { partition, offset, timestamp_ms, .. } = self.record;
        Row { captured, partition, offset, timestamp_ms }
    }

    /// The transition, if it is one.
    pub fn transition(&self) -> Option<Transition<'_>> {
        match &self.news {
            News::Transition { order, fingerprint } => {
                let fingerprint = *fingerprint;
                Some(Transition { record: &self.record, order, fingerprint })
            }
            News::Refused(_)
            | News::Product(..)
            | News::Customer(..)
            | News::Unreadable(..)
            | News::Counted(_) => None,
        }
    }
}

impl<'a> Batch<'a> {
    /// Its transitions.
    pub fn transitions(self) -> impl Iterator<Item = Transition<'a>> {
        self.arrived.iter().filter_map(Arrived::transition)
    }

    /// The orders that the transitions are about.
    pub fn order_ids(self) -> BTreeSet<OrderId> {
        self.transitions().map(|arrived| arrived.order.order_id).collect()
    }

    /// Its refusals. A command that came twice is refused twice; the first refusal counts.
    pub fn refusals(self) -> BTreeMap<CommandId, &'a CommandRefused> {
        let mut refusals = BTreeMap::new();
        for arrived in self.arrived {
            if let News::Refused(refusal) = &arrived.news {
                refusals.entry(refusal.command_id).or_insert(refusal);
            }
        }
        refusals
    }

    /// The last row of each product: records of one key come in order, within a partition.
    pub fn products(self) -> BTreeMap<&'a Sku, Row<'a, Product>> {
        let row = |arrived: &'a Arrived| match &arrived.news {
            News::Product(sku, product) => Some((sku, arrived.row(product.as_ref()))),
            News::Unreadable(Captured::Product(sku), _) => Some((sku, arrived.row(None))),
            _ => None,
        };
        latest(self.arrived.iter().filter_map(row))
    }

    /// The last row of each customer.
    pub fn customers(self) -> BTreeMap<&'a CustomerId, Row<'a, CatalogCustomer>> {
        let row = |arrived: &'a Arrived| match &arrived.news {
            News::Customer(id, customer) => Some((id, arrived.row(customer.as_ref()))),
            News::Unreadable(Captured::Customer(id), _) => Some((id, arrived.row(None))),
            _ => None,
        };
        latest(self.arrived.iter().filter_map(row))
    }

    /// The newest level of each product.
    pub fn stock(self) -> BTreeMap<&'a Sku, &'a StockLevel> {
        let mut stock: BTreeMap<&Sku, &StockLevel> = BTreeMap::new();
        for arrived in self.arrived {
            if let News::Counted(level) = &arrived.news {
                let newest = stock.entry(&level.sku).or_insert(level);
                if newest.version < level.version {
                    *newest = level;
                }
            }
        }
        stock
    }

    /// What each transition means, one after the other, for orders with these `histories`.
    pub fn judge(self, mut histories: BTreeMap<OrderId, History>) -> Vec<Decision> {
        let judge = |transition: Transition<'_>| {
            let history = histories.entry(transition.order.order_id).or_default();
            let decision = decide(history, transition.arrival(), self.now);
            *history = evolve(std::mem::take(history), &decision);
            decision
        };
        self.transitions().map(judge).collect()
    }

    /// What becomes of each record, when its transitions mean this and the tables take the rest.
    pub fn outcomes(self, decisions: Vec<Decision>) -> Vec<Outcome> {
        let mut decisions = decisions.into_iter();
        let outcome = |arrived: &Arrived| {
            let decision = arrived.transition().and_then(|_| decisions.next());
            match decision {
                Some(Decision::Impossible(cause)) => Err(cause.to_string()),
                Some(Decision::Show { .. } | Decision::Repeated) | None => Ok(()),
            }
        };
        self.arrived.iter().map(outcome).collect()
    }
}
