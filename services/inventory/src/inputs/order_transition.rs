//! A transition of an order: one command per line for the writers of its products.

use crate::domain::split::{self, Decision, Stateless};
use contracts::{
    OrderId,
    owns::Inventory,
    topics::{INVENTORY_COMMANDS, ORDERS},
};
use streams::{Failure, Record, Tx};

pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let order = tx.decode(&ORDERS, record)?;
    let key: OrderId = record.key_as()?;
    order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
    match split::decide(&Stateless, &order, tx.now()) {
        Decision::Split(commands) => commands
            .iter()
            .try_for_each(|command| tx.send(&INVENTORY_COMMANDS, command.sku(), command)),
        Decision::Ignored(why) => {
            tracing::trace!(transition = %order.transition, ?why, "ignored");
            Ok(())
        }
    }
}
