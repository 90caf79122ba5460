//! Reserve: hold the pieces or refuse them, and tell orders the outcome of the check.

use crate::{domain::stock, store};
use contracts::{inventory::Reserve, owns::Inventory, topics::ORDER_VALIDATIONS};
use streams::{Failure, Tx};

pub(crate) fn handle(command: Reserve, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let decision = store::apply(&command.into(), tx)?;
    match stock::outcome(&decision, tx.now()) {
        Some(outcome) => tx.send(&ORDER_VALIDATIONS, &outcome.order_id, &outcome),
        None => Ok(()),
    }
}
