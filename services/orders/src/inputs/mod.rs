//! The reaction of orders to each input: one file per input, named after it.
//!
//! An input lets the domain decide, returns the new entry, and sends all but transitions. The
//! processor looks for the next transition after every input.

pub mod cancel_order;
pub mod deadline;
pub mod order_transition;
pub mod order_validation;
pub mod place_order;

use contracts::{
    CommandId, CustomerId, OrderId, Reason,
    orders::CommandRefused,
    owns::Orders,
    topics::{ORDER_REFUSALS, ORDERS},
};
use streams::{Failure, Tx};

use crate::domain::{
    Entry,
    next_step::{self, Decision, Proposal},
};

/// Propose the next transition if it is due and ours, and give what is known after that.
///
/// # Errors
/// As [`Tx::send`].
pub fn propose_next(tx: &mut Tx<'_, Orders>, entry: Entry) -> Result<Entry, Failure> {
    let decision = next_step::decide(&entry, tx.now());
    match &decision {
        Decision::Propose(proposal) => {
            let order_id = proposal.order().order_id;
            match proposal {
                Proposal::Validated(next) => tx.send(&ORDERS, &order_id, next)?,
                Proposal::Rejected(next) => tx.send(&ORDERS, &order_id, next)?,
                Proposal::Cancelled(next) => tx.send(&ORDERS, &order_id, next)?,
                Proposal::Confirmed(next) => tx.send(&ORDERS, &order_id, next)?,
            }
        }
        Decision::Wait
        | Decision::InFlight
        | Decision::NotOurs
        | Decision::Settled
        | Decision::Unknown => {}
    }
    Ok(next_step::evolve(entry, &decision))
}

/// Tell that a command about the order of `entry` has changed nothing, and why.
fn refuse(
    tx: &mut Tx<'_, Orders>,
    entry: &Entry,
    (command, customer_id): (&str, Option<CustomerId>),
    command_id: CommandId,
    order_id: OrderId,
    reasons: Vec<Reason>,
) -> Result<(), Failure> {
    let refused = CommandRefused {
        command_id,
        order_id,
        command: command.to_owned(),
        reasons,
        order_version: entry.standing().map(|order| order.version),
        refused_at: tx.now(),
        customer_id,
    };
    tx.send(&ORDER_REFUSALS, &order_id, &refused)
}
