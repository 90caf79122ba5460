//! OrderValidation -> one outcome more.

use contracts::inventory::OrderValidation;
use streams::Failure;

use crate::domain::{
    Entry,
    outcome::{self, Decision},
};

/// Handle `validation`.
///
/// # Errors
/// [`Failure::Poison`] when it is malformed.
pub fn handle(entry: &mut Entry, validation: &OrderValidation) -> Result<(), Failure> {
    match outcome::decide(entry, validation).map_err(Failure::poison)? {
        Decision::Kept => outcome::evolve(entry, validation),
        Decision::Ignored(why) => {
            let OrderValidation { order_id, check, .. } = validation;
            tracing::debug!(%order_id, check, "OrderValidation ignored: {why:?}");
        }
    }
    Ok(())
}
