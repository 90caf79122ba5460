//! The two processors of fraud, without Kafka. An order is on the partition of its id, but a
//! customer has many orders. So [`SplitProcessor`] sends each order to the partition of its
//! customer, and [`CheckProcessor`] judges there, one order after the other.

use crate::{
    adapters::store,
    domain::exposure::Terms,
    inputs::{exposure, order_cancelled, order_rejected, order_requested},
    topology,
};
use contracts::{
    CustomerId, OrderId, TransitionKind,
    owns::Fraud,
    topics::{self, EXPOSURES, ORDERS, TopicSpec},
};
use streams::{
    Failure, Processor, Record, Source, Tx,
    store::{Layout, LayoutError},
};

/// Keys orders by customer. It has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct SplitProcessor;

impl Processor for SplitProcessor {
    type Identity = Fraud;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::SPLIT)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::SPLIT)
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::SPLIT, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Fraud>) -> Result<(), Failure> {
        let order = tx.decode(&ORDERS, record)?;
        let key: OrderId = record.key_as()?;
        order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
        match order.transition {
            TransitionKind::OrderRequested => order_requested::handle(&order, tx),
            TransitionKind::OrderRejected => order_rejected::handle(&order, tx),
            TransitionKind::OrderCancelled => order_cancelled::handle(&order, tx),
            // The value stays open for the rest of the window.
            TransitionKind::OrderValidated
            | TransitionKind::OrderConfirmed
            | TransitionKind::PaymentReceived => Ok(()),
            // OrderCancelled comes after the one and before the other.
            TransitionKind::PaymentDeclined | TransitionKind::PaymentRefunded => Ok(()),
        }
    }
}

/// Judges the orders of each customer.
#[derive(Debug, Clone)]
pub struct CheckProcessor {
    terms: Terms,
}

impl CheckProcessor {
    /// A processor that judges by `terms`.
    pub fn new(terms: Terms) -> Self {
        Self { terms }
    }
}

impl Processor for CheckProcessor {
    type Identity = Fraud;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::CHECK)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::CHECK)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn layout() -> Result<Layout, LayoutError> {
        store::layout()
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::CHECK, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Fraud>) -> Result<(), Failure> {
        let change = tx.decode(&EXPOSURES, record)?;
        let key: CustomerId = record.key_as()?;
        if key != change.customer_id {
            let cause =
                format!("the record's key is {key}, but it is about {}", change.customer_id);
            return Err(Failure::Poison(cause));
        }
        let state = store::load(tx, &key)?;
        exposure::handle(state, change, &self.terms, tx)
    }
}
