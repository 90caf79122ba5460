//! The last transition of an order, in place of commands that were deleted before they were read.
//! What it asks of a product may have been done: a command counts once.

use super::inventory_command;
use crate::domain::split::{self, Decision, Stateless};
use contracts::{
    Sku,
    order::LatestOrder,
    owns::Inventory,
    partition::partition_for,
    topics::{INVENTORY_COMMANDS, Key, ORDERS_LATEST},
};
use streams::{Failure, Record, Tx};

/// Of its products, those of the partition at hand. Restocks are on no other topic: they are lost.
pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let LatestOrder(order) = tx.decode(&ORDERS_LATEST, record)?;
    let Decision::Split(commands) = split::decide(&Stateless, &order, tx.now()) else {
        return Ok(());
    };
    let partitions = INVENTORY_COMMANDS.spec.partitions();
    let is_here = |sku: &Sku| partition_for(&sku.to_bytes(), partitions) == tx.partition();
    let ours: Vec<_> = commands.iter().filter(|command| is_here(command.sku())).collect();
    ours.into_iter().try_for_each(|command| inventory_command::act(command, tx))
}
