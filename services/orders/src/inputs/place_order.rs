//! PlaceOrder -> OrderRequested, or a refusal.

use contracts::{orders::PlaceOrder, owns::Orders, topics::ORDERS};
use streams::{Failure, Tx};

use super::refuse;
use crate::{
    catalog::Catalog,
    domain::{
        Entry,
        place_order::{self, Decision, Input, Known, Terms},
    },
};

/// Handle `command`, and give what is known after it.
///
/// # Errors
/// As [`Tx::send`].
pub fn handle(
    tx: &mut Tx<'_, Orders>,
    entry: Entry,
    command: &PlaceOrder,
    catalog: &Catalog,
    terms: &Terms,
) -> Result<Entry, Failure> {
    let known = match tx.is_replay() {
        // What came of it is on `orders`, which is read to its end before.
        true => Known::Past,
        false => Known::Now(catalog.excerpt(&command.customer_id, &command.lines)),
    };
    let decision = place_order::decide(&entry, Input { command, known: &known, terms }, tx.now());
    let after = place_order::evolve(entry, &decision);
    match decision {
        Decision::Accepted(requested) => tx.send(&ORDERS, &command.order_id, &requested)?,
        Decision::Refused { command_id, reasons } => {
            let command_and_customer = ("PlaceOrder", Some(command.customer_id.clone()));
            refuse(tx, &after, command_and_customer, command_id, command.order_id, reasons)?;
        }
        Decision::Repeated => {
            tracing::debug!("PlaceOrder ignored: repeated");
        }
    }
    Ok(after)
}
