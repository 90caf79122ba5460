//! One file per consumed event. An input decodes a record and checks it alone. [`crate::batch`]
//! decides for the whole batch.

pub mod command_refused;
pub mod customer_captured;
pub mod order_transition;
pub mod product_captured;
pub mod stock_level;

use crate::batch::News;
use contracts::{
    owns::View,
    topics::{CUSTOMERS, ORDER_REFUSALS, ORDERS, PRODUCTS, STOCK},
};
use streams::{Failure, Record, Tx};

/// What `record` says.
///
/// # Errors
/// [`Failure::Poison`] with the cause, [`Failure::Retriable`] when the registry is away.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    match record {
        record if record.is_on(&ORDERS) => order_transition::read(record, tx),
        record if record.is_on(&ORDER_REFUSALS) => command_refused::read(record, tx),
        record if record.is_on(&PRODUCTS) => product_captured::read(record, tx),
        record if record.is_on(&CUSTOMERS) => customer_captured::read(record, tx),
        record if record.is_on(&STOCK) => stock_level::read(record, tx),
        record => Err(Failure::Poison(format!("{} is not ours to read", record.topic))),
    }
}
