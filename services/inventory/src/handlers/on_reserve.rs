//! Reserve: hold the pieces or refuse them, and tell orders the outcome of the check.

use crate::{domain::stock::Decision, store};
use contracts::{
    Timestamp,
    inventory::{OrderValidation, Outcome, Reservation, Reserve, check_name},
    owns::Inventory,
    topics::ORDER_VALIDATIONS,
};
use streams::{Failure, Tx};

pub(crate) fn handle(command: Reserve, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
    let decision = store::apply(&command.into(), tx)?;
    match validation(&decision, tx.now()) {
        Some(outcome) => tx.send(&ORDER_VALIDATIONS, &outcome.order_id, &outcome),
        None => Ok(()),
    }
}

/// The outcome of the check, if `decision` is one. A repeated Reserve has none: the first outcome
/// was committed together with its reservation, so it stands on the topic.
fn validation(decision: &Decision, decided_at: Timestamp) -> Option<OrderValidation> {
    let outcome = |reservation: &Reservation, outcome, code: &str, detail| OrderValidation {
        order_id: reservation.order_id,
        check: check_name(&reservation.sku),
        outcome,
        code: code.to_owned(),
        detail,
        decided_at,
    };
    match decision {
        Decision::Reserved(held) => Some(outcome(held, Outcome::Passed, "ok", String::new())),
        Decision::Refused(refused, why) => {
            Some(outcome(refused, Outcome::Failed, why.code(), why.detail(refused.quantity)))
        }
        Decision::Released(_)
        | Decision::ReleaseRemembered(_)
        | Decision::Committed(_)
        | Decision::Restocked(_)
        | Decision::Ignored(_)
        | Decision::Impossible(_) => None,
    }
}
