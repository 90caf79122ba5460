//! `stock`: a new stock level of inventory.

use crate::{batch::News, domain::bounds};
use contracts::{Sku, owns::View, topics::STOCK};
use streams::{Failure, Record, Tx};

/// The level.
///
/// # Errors
/// [`Failure::Poison`] for what is no stock level.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: Sku = record.key_as()?;
    let level = tx.decode(&STOCK, record)?;
    if level.sku != key {
        let other = &level.sku;
        return Err(Failure::Poison(format!("the key is {key}, but the level is {other}'s")));
    }
    bounds::check_stock(&level).map_err(Failure::poison)?;
    Ok(News::Counted(level))
}
