//! `catalog.products`: a row of the catalog was written or deleted.

use crate::{batch::News, domain::bounds};
use contracts::{Sku, owns::View, topics::PRODUCTS};
use streams::{Failure, Record, Tx};

/// The row, or that it is gone.
///
/// # Errors
/// [`Failure::Poison`] for what is no product.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: Sku = record.key_as()?;
    if record.value.is_none() {
        return Ok(News::Captured(key, None));
    }
    let product = tx.decode(&PRODUCTS, record)?;
    if product.sku != key {
        let other = &product.sku;
        return Err(Failure::Poison(format!("the key is {key}, but the row is {other}'s")));
    }
    bounds::check_product(&product).map_err(Failure::poison)?;
    Ok(News::Captured(key, Some(product)))
}
