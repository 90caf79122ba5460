//! OrderCancelled: one Release per line. Also when a refund is due: what was paid for and then
//! cancelled is not sent.

use crate::{domain::split, handlers::send};
use contracts::{Order, owns::Inventory};
use streams::{Failure, Tx};

pub(crate) fn handle(order: &Order, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let commands = split::release(order, tx.now()).map_err(Failure::poison)?;
    send(&commands, tx)
}
