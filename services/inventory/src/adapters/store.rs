//! The state of inventory-stock: three tables, a cache of the topics `stock` (the levels) and
//! `inventory.reservations` (the other two).

use crate::domain::stock::Stock;
use contracts::{
    inventory::{
        InventoryCommand, Reservation, RestockApplied, StockEntry, StockEntryKey, StockLevel,
    },
    owns::Inventory,
    topics::Key,
};
use streams::{
    Failure, Table, Tx,
    store::{Layout, LayoutError},
};

/// By sku.
static LEVELS: Table<StockLevel> = Table::new(1);
/// By sku and order id.
static RESERVED: Table<Reservation> = Table::new(2);
/// By sku and command id.
static RESTOCKED: Table<RestockApplied> = Table::new(3);

/// What the tables hold: a store with another layout is rebuilt.
pub(crate) fn layout() -> Result<Layout, LayoutError> {
    Layout::default().table(&LEVELS)?.table(&RESERVED)?.table(&RESTOCKED)
}

/// What is stored of all that `command` is about.
///
/// # Errors
/// [`Failure::Fatal`] when the store fails.
pub(crate) fn load(command: &InventoryCommand, tx: &Tx<'_, Inventory>) -> Result<Stock, Failure> {
    let level = tx.get(&LEVELS, &command.sku().to_bytes())?;
    let key = key_of(command).to_bytes();
    // Both tables are asked, whichever the command is about: they share their keys on the topic,
    // so an id may not be that of an order and that of a Restock.
    let entry = match tx.get(&RESERVED, &key)? {
        Some(reservation) => Some(reservation.into()),
        None => tx.get(&RESTOCKED, &key)?.map(StockEntry::from),
    };
    Ok(Stock { level, entry })
}

fn key_of(command: &InventoryCommand) -> StockEntryKey {
    match command {
        InventoryCommand::Reserve(c) => StockEntryKey::reservation(&c.sku, c.order_id),
        InventoryCommand::Release(c) => StockEntryKey::reservation(&c.sku, c.order_id),
        InventoryCommand::Commit(c) => StockEntryKey::reservation(&c.sku, c.order_id),
        InventoryCommand::Restock(c) => StockEntryKey::restock(&c.sku, c.command_id),
    }
}

/// Store `level`.
///
/// # Errors
/// [`Failure::Fatal`] when it cannot be encoded.
pub(crate) fn save_level(level: &StockLevel, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    tx.put(&LEVELS, &level.sku.to_bytes(), level)
}

/// Store `entry`.
///
/// # Errors
/// [`Failure::Fatal`] when it cannot be encoded.
pub(crate) fn save_entry(entry: &StockEntry, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let key = entry.key().to_bytes();
    match entry {
        StockEntry::Reservation(reservation) => tx.put(&RESERVED, &key, reservation),
        StockEntry::RestockApplied(restock) => tx.put(&RESTOCKED, &key, restock),
    }
}
