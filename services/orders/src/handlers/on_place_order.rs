//! PlaceOrder -> OrderRequested, or a refusal.

use contracts::{orders::PlaceOrder, owns::Orders, topics::ORDERS};
use streams::{Failure, Tx};

use super::refuse;
use crate::{
    catalog::Catalog,
    domain::{
        Entry,
        place_order::{self, Decision, Terms},
    },
};

/// Handle `command`.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: &mut Entry,
    command: &PlaceOrder,
    catalog: &Catalog,
    terms: &Terms,
) -> Result<(), Failure> {
    let excerpt = catalog.excerpt(&command.customer_id, &command.lines);
    match place_order::decide(entry, command, &excerpt, terms, tx.now()) {
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

/// Know what [`handle`] would know, without a word to anybody. `entry` has the order if the log does:
/// a command that was handled and made none was refused.
pub fn restore(entry: &mut Entry, command: &PlaceOrder) {
    place_order::evolve_refused(entry, command);
}
