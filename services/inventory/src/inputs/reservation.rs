//! A Reservation, or a counted Restock: our own record; a restore reads it back.

use crate::adapters::store;
use contracts::{inventory::StockEntryKey, owns::Inventory, topics::RESERVATIONS};
use streams::{Failure, Record, Tx};

pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let entry = tx.decode(&RESERVATIONS, record)?;
    match record.key_as::<StockEntryKey>()? == entry.key() {
        true => store::save_entry(&entry, tx),
        false => Err(Failure::poison("the key is not that of the entry")),
    }
}
