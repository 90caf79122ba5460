//! `catalog.customers`: a row of the catalog was written or deleted.

use crate::batch::{Captured, News};
use contracts::{CustomerId, owns::View, topics::CUSTOMERS};
use streams::{Failure, Record, Tx};

/// The row, that it is gone, or that it cannot be read.
///
/// # Errors
/// [`Failure::Poison`] for what is about no customer.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: CustomerId = record.key_as()?;
    if record.value.is_none() {
        return Ok(News::Customer(key, None));
    }
    match tx.decode(&CUSTOMERS, record) {
        Ok(customer) if customer.customer_id == key => Ok(News::Customer(key, Some(customer))),
        Ok(customer) => {
            let cause = format!("the key is {key}, but the row is {}'s", customer.customer_id);
            Ok(News::Unreadable(Captured::Customer(key), cause))
        }
        Err(Failure::Poison(cause)) => Ok(News::Unreadable(Captured::Customer(key), cause)),
        Err(failure) => Err(failure),
    }
}
