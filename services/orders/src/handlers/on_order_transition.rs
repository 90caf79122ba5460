//! A transition on `orders`, ours or payments' -> a step further, and a copy on `orders.latest`.

use contracts::{
    Order, OrderId,
    owns::Orders,
    topics::{ORDER_COMMANDS, ORDERS_LATEST},
};
use streams::{Failure, Record, Tx, record::names};

use crate::domain::{
    Entry,
    transition::{self, Decision},
};

/// Handle `order`, the message in `record`.
///
/// # Errors
/// [`Failure::Poison`] when the baton table does not allow it.
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: &mut Entry,
    order: &Order,
    record: &Record,
) -> Result<(), Failure> {
    let key: OrderId = record.key_as()?;
    order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
    let decision = transition::decide(entry, order).map_err(Failure::poison)?;
    if decision == Decision::Advanced {
        transition::evolve(entry, order, placed_at(record));
    }
    match decision {
        // After a restore the log is read a second time from the committed offset, and what was
        // not committed was not copied either.
        Decision::Advanced | Decision::Repeated => tx.forward(record, &ORDERS_LATEST),
        Decision::Outdated => {
            let (order_id, version) = (order.order_id, order.version);
            tracing::debug!(%order_id, version, "transition ignored: outdated");
        }
    }
    Ok(())
}

/// The offset of the PlaceOrder that caused `record`, if one did.
fn placed_at(record: &Record) -> Option<i64> {
    let address = record.headers.get(names::CAUSATION_ID)?;
    let mut parts = address.split('/');
    let on_commands = parts.next()? == ORDER_COMMANDS.name();
    let offset = parts.nth(1)?.parse().ok()?;
    if on_commands { Some(offset) } else { None }
}
