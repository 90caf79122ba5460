//! OrderRejected: one Release per line. Those that were refused have nothing to give back.

use crate::{domain::split, handlers::send};
use contracts::{Order, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(order: &Order, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let commands = split::release(order, tx.now()).map_err(Failure::poison)?;
    send(&commands, tx)
}
