//! Commit: what the order holds leaves the house.

use crate::store;
use contracts::{inventory::Commit, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(command: Commit, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    store::apply(&command.into(), tx).map(drop)
}
