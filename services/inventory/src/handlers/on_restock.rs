//! Restock: there is more.

use crate::store;
use contracts::{inventory::Restock, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(command: Restock, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    store::apply(&command.into(), tx).map(drop)
}
