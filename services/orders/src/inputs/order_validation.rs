//! OrderValidation -> one outcome more.

use contracts::{inventory::OrderValidation, owns::Orders};
use streams::{Failure, Tx};

use crate::domain::{
    Entry,
    order_validation::{self, Decision},
};

/// Handle `validation`, and give what is known after it.
///
/// # Errors
/// [`Failure::Poison`] when it is malformed.
pub fn handle(
    tx: &Tx<'_, Orders>,
    entry: Entry,
    validation: &OrderValidation,
) -> Result<Entry, Failure> {
    let decision = order_validation::decide(&entry, validation, tx.now());
    let after = order_validation::evolve(entry, &decision);
    match decision {
        Decision::Kept { .. } => Ok(after),
        Decision::Ignored(why) => {
            tracing::debug!(check = validation.check, "OrderValidation ignored: {why:?}");
            Ok(after)
        }
        Decision::Malformed(why) => Err(Failure::poison(why)),
    }
}
