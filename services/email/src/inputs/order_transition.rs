//! A transition on `orders` that the view has read, in place of its announcement, which was deleted
//! before email has read it.

use super::{attempt::Announced, view_updated};
use crate::mailer::{DedupingMailer, Mailer};
use contracts::{
    OrderId, Timestamp,
    owns::Email,
    topics::{ORDER_VIEWS, ORDERS},
    view::ViewUpdated,
};
use streams::{Failure, Record, Tx};

/// The view announces every transition, and none that is not the order's. So what it has put aside
/// was not announced; here that is passed by without a dead letter, as the view has one.
pub(crate) fn handle<M: Mailer>(
    record: &Record,
    mailer: &mut DedupingMailer<M>,
    tx: &mut Tx<'_, Email>,
) -> Result<(), Failure> {
    let (key, source) = (record.key_as::<OrderId>(), record.headers.source());
    let order = match (key, tx.decode(&ORDERS, record)) {
        (Ok(key), Ok(order)) if order.check_written(key, source).is_ok() => order,
        (_, Err(failure @ (Failure::Retriable(_) | Failure::Fatal(_)))) => return Err(failure),
        _ => return Ok(()),
    };
    let (order_id, view_version) = (order.order_id, order.version);
    let updated_at = Timestamp(record.timestamp_ms);
    let update = ViewUpdated { order_id, view_version, order, updated_at };
    // A mail that must wait keeps the announcement as it would have been.
    let announcement = tx.codec().encode(&ORDER_VIEWS.spec, &update)?;
    let announced = Announced::made_up(record, announcement, update);
    view_updated::mail(&announced, mailer, tx)
}
