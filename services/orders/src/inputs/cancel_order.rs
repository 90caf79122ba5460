//! CancelOrder -> remembered, or a refusal.

use contracts::{orders::CancelOrder, owns::Orders};
use streams::{Failure, Tx};

use super::refuse;
use crate::domain::{
    Entry,
    cancel_order::{self, Decision, Input},
};

/// Handle `command`, at `offset` of its partition, and return the entry after it.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: Entry,
    command: &CancelOrder,
    offset: i64,
) -> Result<Entry, Failure> {
    let decision = cancel_order::decide(&entry, Input { command, offset }, tx.now());
    let after = cancel_order::evolve(entry, &decision);
    let CancelOrder { command_id, order_id, .. } = *command;
    match decision {
        Decision::Remembered(_) => {}
        Decision::Refused(reason) => {
            refuse(tx, &after, ("CancelOrder", None), command_id, order_id, vec![reason])?;
        }
        Decision::Repeated => tracing::debug!("CancelOrder ignored: repeated"),
    }
    Ok(after)
}
