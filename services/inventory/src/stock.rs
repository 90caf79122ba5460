//! [`StockLoop`]: reads `inventory.commands`, writes `stock`, `inventory.reservations` and
//! `order-validations`, all of it with the offsets in one transaction.

use crate::{
    handlers::{on_commit, on_release, on_reserve, on_restock},
    store, topology,
};
use contracts::{
    Sku,
    inventory::InventoryCommand,
    owns::Inventory,
    topics::{self, INVENTORY_COMMANDS, RESERVATIONS, STOCK, TopicSpec},
};
use streams::{Failure, Processor, Record, Source, Tx};

/// Keeps the stock of each sku. One instance owns a partition, so each sku has one writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct StockLoop;

impl Processor for StockLoop {
    type Identity = Inventory;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::STOCKKEEPING)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::STOCKKEEPING)
    }

    fn sources(&self) -> Vec<Source> {
        topology::SOURCES.to_vec()
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        if record.is_on(&STOCK) || record.is_on(&RESERVATIONS) {
            return store::read_back(record, tx);
        }
        let command = tx.decode(&INVENTORY_COMMANDS, record)?;
        let (key, sku) = (record.key_as::<Sku>()?, command.sku());
        if key != *sku {
            let cause = format!("the record's key is {key}, but its command is about {sku}");
            return Err(Failure::Poison(cause));
        }
        match command {
            InventoryCommand::Reserve(command) => on_reserve::handle(command, tx),
            InventoryCommand::Release(command) => on_release::handle(command, tx),
            InventoryCommand::Commit(command) => on_commit::handle(command, tx),
            InventoryCommand::Restock(command) => on_restock::handle(command, tx),
        }
    }
}
