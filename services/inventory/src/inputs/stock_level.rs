//! StockLevel: our own record; a restore reads it back.

use crate::adapters::store;
use contracts::{Sku, owns::Inventory, topics::STOCK};
use streams::{Failure, Record, Tx};

pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let level = tx.decode(&STOCK, record)?;
    match record.key_as::<Sku>()? == level.sku {
        true => store::save_level(&level, tx),
        false => Err(Failure::poison("the key is not the sku of the level")),
    }
}
