//! `orders`: an order has made a transition.

use crate::batch::News;
use contracts::{OrderId, owns::View, topics::ORDERS};
use streams::{Failure, Record, Tx};
use uuid::Uuid;

/// The transition. Whether it follows what is known is judged for the whole batch, where one query
/// tells what is.
///
/// # Errors
/// [`Failure::Poison`] for what no order can be.
pub fn read(record: &Record, tx: &Tx<'_, View>) -> Result<News, Failure> {
    let key: OrderId = record.key_as()?;
    let order = tx.decode(&ORDERS, record)?;
    order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
    let bytes = record.value.as_deref().unwrap_or_default();
    let fingerprint = Uuid::new_v5(&key.0, bytes);
    Ok(News::Transition { order: Box::new(order), fingerprint })
}
