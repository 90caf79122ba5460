//! [`OrdersProcessor`]: the decisions of orders over its topics, without Kafka.

use contracts::{
    Order, OrderId,
    inventory::OrderValidation,
    orders::{CancelOrder, OrderCommand, PlaceOrder},
    owns::Orders,
    partition::{self, partition_for},
    topics::{self, Key, ORDER_COMMANDS, ORDER_VALIDATIONS, ORDERS, TopicSpec},
};
use std::sync::Arc;
use streams::{
    Failure, Meters, Processor, Record, Source, Tx,
    lineage::Cause,
    store::{Layout, LayoutError},
};

use crate::{
    adapters::store,
    catalog::Catalog,
    domain::place_order::Terms,
    inputs::{
        cancel_order, deadline, order_transition, order_validation, place_order, propose_next,
    },
    measures::Measures,
    topology,
};

/// Event sourcing: its state is the fold of its inputs up to the committed offsets, and what it
/// decides goes to the log first and into the state when it comes back from there.
pub struct OrdersProcessor {
    catalog: Catalog,
    terms: Terms,
    measures: Measures,
}

impl OrdersProcessor {
    /// A processor over `catalog`, which must be ready.
    pub fn new(catalog: Catalog, terms: Terms) -> Self {
        Self { catalog, terms, measures: Measures::default() }
    }

    /// The same, with what it does measured.
    pub fn measured(self, meters: Meters) -> Self {
        Self { measures: Measures::new(meters), ..self }
    }
}

/// Most open orders of a partition that are looked at for a scrape: the oldest ones.
const OPEN_ORDERS_MAX: usize = 20_000;

/// The kinds of record on the input topics.
enum Input {
    PlaceOrder(PlaceOrder),
    CancelOrder(CancelOrder),
    Validation(OrderValidation),
    Transition(Arc<Order>),
}

impl Processor for OrdersProcessor {
    type Identity = Orders;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::FLOWS)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn layout() -> Result<Layout, LayoutError> {
        store::layout()
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::FLOWS, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Orders>) -> Result<(), Failure> {
        let (order_id, input) = read(record, tx)?;
        let before = store::load(tx, order_id)?;
        let entry = before.clone();
        let entry = match input {
            Input::PlaceOrder(command) => {
                place_order::handle(tx, entry, &command, &self.catalog, &self.terms)?
            }
            Input::CancelOrder(command) => {
                cancel_order::handle(tx, entry, &command, record.offset)?
            }
            Input::Validation(validation) => order_validation::handle(tx, entry, &validation)?,
            Input::Transition(order) => order_transition::handle(tx, entry, order, record)?,
        };
        // After any input, even one that changed nothing: after a restore the state is ahead of
        // the input, and what follows from it has not been proposed.
        let after = if tx.is_replay() { entry } else { propose_next(tx, entry)? };
        store::save(tx, order_id, &before, &after, || Cause::of(record))?;
        if !tx.is_replay() {
            self.measures.reached(before.order.as_deref(), after.order.as_deref());
        }
        Ok(())
    }

    fn tick(&mut self, tx: &mut Tx<'_, Orders>) -> Result<(), Failure> {
        self.measures.look(tx.partition(), tx.now(), || store::open(tx, OPEN_ORDERS_MAX))?;
        deadline::handle(tx)
    }

    fn reset(&mut self) {
        self.measures.reset();
    }

    fn committed(&mut self) {
        self.measures.committed();
    }
}

/// The message in `record`, which must be where its order id says: under the right key, on the
/// right partition. Elsewhere two instances would decide about one order.
fn read(record: &Record, tx: &Tx<'_, Orders>) -> Result<(OrderId, Input), Failure> {
    let key: OrderId = record.key_as()?;
    let partition = partition_for(&key.to_bytes(), partition::count());
    if partition != record.partition {
        return Err(Failure::Poison(format!(
            "order {key} belongs on partition {partition}, not on {}",
            record.partition
        )));
    }
    let (order_id, input) = if record.is_on(&ORDER_COMMANDS) {
        match tx.decode(&ORDER_COMMANDS, record)? {
            OrderCommand::PlaceOrder(command) => (command.order_id, Input::PlaceOrder(command)),
            OrderCommand::CancelOrder(command) => (command.order_id, Input::CancelOrder(command)),
        }
    } else if record.is_on(&ORDER_VALIDATIONS) {
        let validation = tx.decode(&ORDER_VALIDATIONS, record)?;
        (validation.order_id, Input::Validation(validation))
    } else if record.is_on(&ORDERS) {
        let order = tx.decode(&ORDERS, record)?;
        (order.order_id, Input::Transition(Arc::new(order)))
    } else {
        return Err(Failure::Poison(format!("{} is no input of orders", record.topic)));
    };
    if order_id != key {
        return Err(Failure::Poison(format!(
            "the record's key is {key}, but its order is {order_id}"
        )));
    }
    Ok((key, input))
}
