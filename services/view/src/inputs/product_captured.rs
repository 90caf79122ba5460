//! `catalog.products`: a row of the catalog was written or deleted.

use crate::batch::{Captured, News};
use contracts::{Sku, owns::View, topics::PRODUCTS};
use streams::{Failure, Record, Tx};

/// The row, that it is gone, or that it cannot be read.
///
/// # Errors
/// [`Failure::Poison`] for what is about no product.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: Sku = record.key_as()?;
    if record.value.is_none() {
        return Ok(News::Product(key, None));
    }
    match tx.decode(&PRODUCTS, record) {
        Ok(product) if product.sku == key => Ok(News::Product(key, Some(product))),
        Ok(product) => {
            let cause = format!("the key is {key}, but the row is {}'s", product.sku);
            Ok(News::Unreadable(Captured::Product(key), cause))
        }
        Err(Failure::Poison(cause)) => Ok(News::Unreadable(Captured::Product(key), cause)),
        Err(failure) => Err(failure),
    }
}
