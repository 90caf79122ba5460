//! Reserve, Release, Commit or Restock: the effect on the product's stock, and on the order's
//! check.

use crate::{
    adapters::store,
    domain::stock::{self, Decision},
};
use contracts::{
    Sku,
    inventory::InventoryCommand,
    owns::Inventory,
    topics::{INVENTORY_COMMANDS, ORDER_VALIDATIONS, RESERVATIONS, STOCK},
};
use streams::{Failure, Record, Tx};

pub(crate) fn handle(record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let command = tx.decode(&INVENTORY_COMMANDS, record)?;
    let (key, sku) = (record.key_as::<Sku>()?, command.sku());
    if key != *sku {
        let cause = format!("the record's key is {key}, but its command is about {sku}");
        return Err(Failure::Poison(cause));
    }
    act(&command, tx)
}

/// What `command` does to the stock of the partition at hand.
pub(super) fn act(command: &InventoryCommand, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let sku = command.sku();
    let before = store::load(command, tx)?;
    let decision = stock::decide(&before, command, tx.now());
    match &decision {
        Decision::Impossible(why) => return Err(Failure::poison(why)),
        Decision::Ignored(why) => tracing::debug!(%sku, ?why, "ignored"),
        Decision::Reserved(_)
        | Decision::Refused(..)
        | Decision::Released(_)
        | Decision::ReleaseRemembered(_)
        | Decision::Committed(_)
        | Decision::Restocked(_) => {}
    }
    let after = stock::evolve(before.clone(), &decision);
    if !after.is_sound() {
        let level = after.level;
        return Err(Failure::fatal(anyhow::anyhow!("stock does not add up: {level:?}")));
    }
    // What changes in a table goes to its topic in the same transaction: a store which is lost is
    // read back from there.
    if let Some(level) = after.level.as_ref().filter(|_| before.level != after.level) {
        store::save_level(level, tx)?;
        tx.send_latest(&STOCK, &level.sku, level)?;
    }
    if let Some(entry) = after.entry.as_ref().filter(|_| before.entry != after.entry) {
        store::save_entry(entry, tx)?;
        tx.send(&RESERVATIONS, &entry.key(), entry)?;
    }
    match stock::outcome(&decision, tx.now()) {
        Some(outcome) => tx.send(&ORDER_VALIDATIONS, &outcome.order_id, &outcome),
        None => Ok(()),
    }
}
