//! `catalog.products`: a row of the catalog was written or deleted.

use crate::{
    batch::{Arrived, News},
    domain::bounds,
};
use contracts::{Sku, owns::View, topics::PRODUCTS};
use streams::{Failure, Record, Tx};

/// # Errors
/// [`Failure::Poison`] for what is no product.
pub fn on_product_captured(
    record: &Record,
    tx: &Tx<'_, View>,
    batch: &mut Vec<Arrived>,
) -> Result<(), Failure> {
    let key: Sku = record.key_as()?;
    let product = match &record.value {
        None => None,
        Some(_) => Some(tx.decode(&PRODUCTS, record)?),
    };
    if let Some(product) = &product {
        if product.sku != key {
            let other = &product.sku;
            return Err(Failure::Poison(format!("the key is {key}, but the row is {other}'s")));
        }
        bounds::check_product(product).map_err(Failure::poison)?;
    }
    batch.push(Arrived { record: record.clone(), news: News::Captured(key, product) });
    Ok(())
}
