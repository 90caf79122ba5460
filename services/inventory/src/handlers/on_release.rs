//! Release: what the order holds can be promised again.

use crate::store;
use contracts::{inventory::Release, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(command: Release, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    store::apply(&command.into(), tx).map(drop)
}
