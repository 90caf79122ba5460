//! OrderRequested: one Reserve per line.

use crate::{domain::split, handlers::send};
use contracts::{Order, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(order: &Order, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let commands = split::reserve(order, tx.now()).map_err(Failure::poison)?;
    send(&commands, tx)
}
