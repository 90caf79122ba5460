//! `orders.refusals`: a refused command.

use crate::batch::News;
use contracts::{OrderId, owns::View, topics::ORDER_REFUSALS};
use streams::{Failure, Record, Tx};

/// The refusal.
///
/// # Errors
/// [`Failure::Poison`] for what is no refusal.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: OrderId = record.key_as()?;
    let refusal = tx.decode(&ORDER_REFUSALS, record)?;
    if refusal.order_id != key {
        let other = refusal.order_id;
        return Err(Failure::Poison(format!("the key is {key}, but the refusal is about {other}")));
    }
    Ok(News::Refused(refusal))
}
