//! Exposure: judge the order by its customer's open value, and send the outcome to orders.

use crate::{
    adapters::store,
    domain::exposure::{Decision, Input, State, Terms, decide, evolve},
};
use contracts::{fraud::Exposure, owns::Fraud, topics::ORDER_VALIDATIONS};
use streams::{Failure, Tx};

pub(crate) fn handle(
    state: State,
    exposure: Exposure,
    terms: &Terms,
    tx: &mut Tx<'_, Fraud>,
) -> Result<(), Failure> {
    let customer = exposure.customer_id.clone();
    let decision = decide(&state, Input { exposure, terms }, tx.now());
    if let Decision::Ignored(_, why) = &decision {
        tracing::debug!(?why, "ignored");
        return Ok(());
    }
    if let Some(outcome) = decision.outcome() {
        tx.send(&ORDER_VALIDATIONS, &outcome.order_id, outcome)?;
    }
    store::save(tx, &customer, &evolve(state, &decision))
}
