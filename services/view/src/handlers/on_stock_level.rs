//! `stock`: inventory has counted.

use crate::{batch::Batch, domain::bounds};
use contracts::{Sku, owns::View, topics::STOCK};
use streams::{Failure, Record, Tx};

/// # Errors
/// [`Failure::Poison`] for what is no stock level.
pub fn on_stock_level(
    record: &Record,
    tx: &Tx<'_, View>,
    batch: &mut Batch,
) -> Result<(), Failure> {
    let key: Sku = record.key_as()?;
    let level = tx.decode(&STOCK, record)?;
    if level.sku != key {
        let other = &level.sku;
        return Err(Failure::Poison(format!("the key is {key}, but the level is {other}'s")));
    }
    bounds::check_stock(&level).map_err(Failure::poison)?;
    let newest = batch.stock.get(&key).is_none_or(|known| known.version < level.version);
    if newest {
        batch.stock.insert(key, level);
    }
    Ok(())
}
