//! PlaceOrder -> OrderRequested, or a refusal.

use contracts::{orders::PlaceOrder, owns::Orders, topics::ORDERS};
use streams::{Failure, Tx};

use super::refuse;
use crate::domain::{
    Entry,
    place_order::{self, Decision, Known, Terms},
};

/// Handle `command`.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: &mut Entry,
    command: &PlaceOrder,
    known: &Known,
    terms: &Terms,
) -> Result<(), Failure> {
    match place_order::decide(entry, command, known, terms, tx.now()) {
        Decision::Accepted(requested) => {
            tx.send(&ORDERS, &command.order_id, &requested)?;
            place_order::evolve(entry, &requested);
            Ok(())
        }
        Decision::Refused(reasons) => {
            place_order::evolve_refused(entry, command);
            refuse(tx, entry, "PlaceOrder", command.command_id, command.order_id, reasons)
        }
        Decision::Repeated => {
            tracing::debug!(order_id = %command.order_id, "PlaceOrder ignored: repeated");
            Ok(())
        }
    }
}
