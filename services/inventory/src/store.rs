//! The state of inventory-stock: three tables, and the two topics that they are a cache of.
//!
//! Whatever changes in a table goes to its topic in the same transaction, so that a store which is
//! lost is read back: `stock` into the levels, `inventory.reservations` into the other two.

use crate::domain::stock::{self, Decision, Stock};
use contracts::{
    Sku,
    inventory::{
        InventoryCommand, Reservation, RestockApplied, StockEntry, StockEntryKey, StockLevel,
    },
    owns::Inventory,
    topics::{Key, RESERVATIONS, STOCK},
};
use streams::{Failure, Record, Table, Tx};

/// By sku.
static LEVELS: Table<StockLevel> = Table::new(1);
/// By sku and order id.
static RESERVED: Table<Reservation> = Table::new(2);
/// By sku and command id.
static RESTOCKED: Table<RestockApplied> = Table::new(3);

/// Decide on `command` with what is stored, and store and announce what that changes.
///
/// # Errors
/// [`Failure::Poison`] for a command that can never be right, [`Failure::Fatal`] if the numbers
/// that are stored do not add up.
pub(crate) fn apply(
    command: &InventoryCommand,
    tx: &mut Tx<'_, Inventory>,
) -> Result<Decision, Failure> {
    let before = load(command, tx)?;
    let decision = stock::decide(&before, command, tx.now());
    match &decision {
        Decision::Impossible(why) => return Err(Failure::poison(why)),
        Decision::Ignored(why) => tracing::debug!(sku = %command.sku(), ?why, "ignored"),
        Decision::Reserved(_)
        | Decision::Refused(..)
        | Decision::Released(_)
        | Decision::ReleaseRemembered(_)
        | Decision::Committed(_)
        | Decision::Restocked(_) => {}
    }
    let after = stock::evolve(before.clone(), &decision);
    if !after.is_sound() {
        let level = after.level;
        return Err(Failure::fatal(anyhow::anyhow!("stock does not add up: {level:?}")));
    }
    save(&before, &after, tx)?;
    Ok(decision)
}

fn load(command: &InventoryCommand, tx: &Tx<'_, Inventory>) -> Result<Stock, Failure> {
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

fn save(before: &Stock, after: &Stock, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    if let Some(level) = &after.level
        && before.level != after.level
    {
        put_level(level, tx)?;
        tx.send(&STOCK, &level.sku, level)?;
    }
    if let Some(entry) = &after.entry
        && before.entry != after.entry
    {
        put_entry(entry, tx)?;
        tx.send(&RESERVATIONS, &entry.key(), entry)?;
    }
    Ok(())
}

/// Read one record of the two topics back into the tables.
///
/// # Errors
/// [`Failure::Poison`] if the record was not written by [`apply`].
pub(crate) fn read_back(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    if record.is_on(&STOCK) {
        let level = tx.decode(&STOCK, record)?;
        return match record.key_as::<Sku>()? == level.sku {
            true => put_level(&level, tx),
            false => Err(Failure::poison("the key is not the sku of the level")),
        };
    }
    let entry = tx.decode(&RESERVATIONS, record)?;
    match record.key_as::<StockEntryKey>()? == entry.key() {
        true => put_entry(&entry, tx),
        false => Err(Failure::poison("the key is not that of the entry")),
    }
}

fn put_level(level: &StockLevel, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    tx.put(&LEVELS, &level.sku.to_bytes(), level)
}

fn put_entry(entry: &StockEntry, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let key = entry.key().to_bytes();
    match entry {
        StockEntry::Reservation(reservation) => tx.put(&RESERVED, &key, reservation),
        StockEntry::RestockApplied(restock) => tx.put(&RESTOCKED, &key, restock),
    }
}
