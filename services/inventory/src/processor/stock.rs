//! [`StockProcessor`]: reads `inventory.commands`, writes `stock`, `inventory.reservations` and
//! `order-validations`, in one transaction with the offsets.

use crate::{
    adapters::store,
    inputs::{inventory_command, latest_order, reservation, stock_level},
    topology,
};
use contracts::{
    owns::Inventory,
    topics::{self, ORDERS_LATEST, RESERVATIONS, STOCK, TopicSpec},
};
use streams::{
    Failure, Processor, Record, Source, StandIn, Tx,
    store::{Layout, LayoutError},
};

/// Keeps the stock of each sku. One instance owns a partition, so each sku has one writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct StockProcessor;

impl Processor for StockProcessor {
    type Identity = Inventory;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::STOCKKEEPING)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::STOCKKEEPING)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn stand_in(&self, topic: &str) -> Option<StandIn> {
        topology::stand_in(topic)
    }

    fn layout() -> Result<Layout, LayoutError> {
        store::layout()
    }

    fn is_awaited(&self, record: &Record) -> bool {
        topics::is_awaited(topology::STOCKKEEPING, record)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        if record.is_on(&STOCK) {
            stock_level::handle(record, tx)
        } else if record.is_on(&RESERVATIONS) {
            reservation::handle(record, tx)
        } else if record.is_on(&ORDERS_LATEST) {
            latest_order::handle(record, tx)
        } else {
            inventory_command::handle(record, tx)
        }
    }
}
