//! One file for each record that inventory acts upon, named after it.

pub(crate) mod on_commit;
pub(crate) mod on_order_cancelled;
pub(crate) mod on_order_confirmed;
pub(crate) mod on_order_rejected;
pub(crate) mod on_order_requested;
pub(crate) mod on_release;
pub(crate) mod on_reserve;
pub(crate) mod on_restock;

use contracts::{inventory::InventoryCommand, owns::Inventory, topics::INVENTORY_COMMANDS};
use streams::{Failure, Tx};

/// Send each command to the partition of its sku.
fn send(commands: &[InventoryCommand], tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    commands.iter().try_for_each(|command| tx.send(&INVENTORY_COMMANDS, command.sku(), command))
}
