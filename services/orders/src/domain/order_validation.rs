//! OrderValidation: the outcome of one check, before or after the order that requires it.

use crate::domain::{CheckOutcome, Entry};
use contracts::{
    Reason, Status, Timestamp,
    inventory::{OrderValidation, Outcome},
    limits::CHECKS_MAX,
};

/// Most outcomes that are kept for an order that has not come yet: as many as an order may require.
pub const OUTCOMES_MAX: usize = CHECKS_MAX;

// State: an Entry. Input: an OrderValidation.

/// What becomes of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is news.
    Kept {
        /// The check.
        check: String,
        /// Its outcome.
        outcome: CheckOutcome,
        /// Since when it waits, should its order not be there: the time of the check itself, so
        /// that it is the same when the log is folded again.
        since: Timestamp,
    },
    /// It changes nothing, and why.
    Ignored(NoOp),
    /// It can never be used, and why: the cause for a dead letter.
    Malformed(Malformed),
}

/// Why an outcome changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOp {
    /// It is known.
    Repeated,
    /// The check has another outcome already. The first one counts: a decision may rest on it.
    Contradicts,
    /// The order does not require this check.
    NotRequired,
    /// The order is past its checks.
    TooLate,
}

/// Why an outcome can never be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More different checks than an order can require.
    #[error("{OUTCOMES_MAX} outcomes are kept for an order that does not exist yet")]
    TooMany,
}

/// Decide on `validation`.
pub fn decide(entry: &Entry, validation: &OrderValidation, now: Timestamp) -> Decision {
    if let Some(order) = &entry.order {
        if order.status != Status::Requested {
            return Decision::Ignored(NoOp::TooLate);
        }
        if !order.required_checks.contains(&validation.check) {
            return Decision::Ignored(NoOp::NotRequired);
        }
    }
    let outcome = outcome_of(validation);
    match entry.outcomes.get(&validation.check) {
        Some(known) if *known == outcome => Decision::Ignored(NoOp::Repeated),
        Some(_) => Decision::Ignored(NoOp::Contradicts),
        None if entry.outcomes.len() >= OUTCOMES_MAX => Decision::Malformed(Malformed::TooMany),
        None => {
            // A clock that is ahead must not keep it for ever.
            let since = validation.decided_at.min(now);
            Decision::Kept { check: validation.check.clone(), outcome, since }
        }
    }
}

/// What is known after `decision`.
pub fn evolve(mut entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Kept { check, outcome, since } => {
            entry.outcomes.insert(check.clone(), outcome.clone());
            if entry.order.is_none() {
                entry.waiting_since.get_or_insert(*since);
            }
        }
        Decision::Ignored(_) | Decision::Malformed(_) => {}
    }
    entry
}

fn outcome_of(validation: &OrderValidation) -> CheckOutcome {
    match validation.outcome {
        Outcome::Passed => CheckOutcome::Passed,
        Outcome::Failed => {
            let OrderValidation { check, code, detail, .. } = validation;
            CheckOutcome::Failed(Reason::new(check, code, detail))
        }
    }
}
