//! A transition on `orders`, ours or payments' -> a step further, and a copy on `orders.latest`.

use contracts::{
    Order, OrderId,
    owns::Orders,
    topics::{ORDER_COMMANDS, ORDERS_LATEST},
};
use std::sync::Arc;
use streams::{Failure, Record, Tx, record::names};

use crate::domain::{
    Entry,
    order_transition::{self, Decision, Input},
};

/// Handle `order`, the message in `record`, and give what is known after it.
///
/// # Errors
/// [`Failure::Poison`] when the baton table does not allow it.
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: Entry,
    order: Arc<Order>,
    record: &Record,
) -> Result<Entry, Failure> {
    let key: OrderId = record.key_as()?;
    order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
    let version = order.version;
    let input = Input { order, placed_at: placed_at(record) };
    let decision = order_transition::decide(&entry, input, tx.now());
    let after = order_transition::evolve(entry, &decision);
    match decision {
        // After a restore the log is read a second time from the committed offset, and what was
        // not committed was not copied either.
        Decision::Advanced(_) | Decision::Repeated => tx.forward(record, &ORDERS_LATEST),
        Decision::Outdated => {
            tracing::debug!(version, "transition ignored: outdated");
        }
        Decision::Impossible(why) => return Err(Failure::poison(why)),
    }
    Ok(after)
}

/// The offset of the PlaceOrder that caused `record`, if one did.
fn placed_at(record: &Record) -> Option<i64> {
    let address = record.headers.get(names::CAUSATION_ID)?;
    let mut parts = address.split('/');
    let on_commands = parts.next()? == ORDER_COMMANDS.name();
    let offset = parts.nth(1)?.parse().ok()?;
    if on_commands { Some(offset) } else { None }
}
