//! A transition read from `orders`: our own, back from the log, or one of payments.

use crate::domain::Entry;
use contracts::{Order, Status, Timestamp, TransitionKind, order::ImpossibleOrder};
use std::sync::Arc;

// State: an Entry.

/// A transition, whose key and writer have been checked ([`Order::check_written`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The order after it.
    pub order: Arc<Order>,
    /// [`Entry::placed_at`], as the record of OrderRequested says it.
    pub placed_at: Option<i64>,
}

/// What becomes of a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is the next one.
    Advanced(Input),
    /// It is the last one known: the record comes again, as after a restore.
    Repeated,
    /// The order is further along already.
    Outdated,
    /// It cannot be.
    Impossible(Impossible),
}

/// Why a transition cannot be: the cause for a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The baton table does not allow it.
    #[error(transparent)]
    Step(ImpossibleOrder),
    /// The log has said something else for this version.
    #[error("version {version} is known with another content: {known}, not {found}")]
    Contradicts {
        /// The version.
        version: i64,
        /// What the log said first.
        known: TransitionKind,
        /// What this record says.
        found: TransitionKind,
    },
}

/// Decide on a transition. Nothing of it depends on the time.
pub fn decide(entry: &Entry, input: Input, _now: Timestamp) -> Decision {
    let (order, known) = (&*input.order, entry.order.as_deref());
    match order.follows(known) {
        Err(impossible) => Decision::Impossible(Impossible::Step(impossible)),
        Ok(true) => Decision::Advanced(input),
        Ok(false) => match known {
            Some(known) if known == order => Decision::Repeated,
            Some(known) if known.version == order.version => {
                Decision::Impossible(Impossible::Contradicts {
                    version: order.version,
                    known: known.transition,
                    found: order.transition,
                })
            }
            Some(_) | None => Decision::Outdated,
        },
    }
}

/// What is known after `decision`.
pub fn evolve(entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Advanced(input) => advance(entry, input),
        Decision::Repeated | Decision::Outdated | Decision::Impossible(_) => entry,
    }
}

fn advance(mut entry: Entry, Input { order, placed_at }: &Input) -> Entry {
    // Read back, or overtaken by another record of the same version.
    entry.proposed = None;
    entry.waiting_since = None;
    if order.transition == TransitionKind::OrderRequested {
        entry.placed_at = *placed_at;
        // From now on the order itself speaks against every other command.
        entry.refused.clear();
    }
    match order.status {
        Status::Requested => {
            entry.outcomes.retain(|check, _| order.required_checks.contains(check));
        }
        Status::Validated | Status::Paid | Status::PaymentDeclined => entry.outcomes.clear(),
        Status::RefundDue
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Refunded => {
            entry.outcomes.clear();
            entry.cancellation = None;
            entry.placed_at = None;
        }
    }
    entry.order = Some(Arc::clone(order));
    entry
}
