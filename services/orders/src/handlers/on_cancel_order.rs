//! CancelOrder -> remembered, or a refusal.

use contracts::{orders::CancelOrder, owns::Orders};
use streams::{Failure, Tx};

use super::refuse;
use crate::domain::{
    Entry,
    cancel_order::{self, Decision},
};

/// Handle `command`, which stands at `offset` of its partition.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: &mut Entry,
    command: &CancelOrder,
    offset: i64,
) -> Result<(), Failure> {
    match cancel_order::decide(entry, command, offset) {
        Decision::Remembered => {
            cancel_order::evolve(entry, command.command_id);
            Ok(())
        }
        Decision::Refused(reason) => {
            refuse(tx, entry, "CancelOrder", command.command_id, command.order_id, vec![reason])
        }
        Decision::Repeated => {
            tracing::debug!(order_id = %command.order_id, "CancelOrder ignored: repeated");
            Ok(())
        }
    }
}
