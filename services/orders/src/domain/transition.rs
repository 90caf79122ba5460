//! A transition read from `orders`: our own, back from the log, or one of payments.

use crate::domain::Entry;
use contracts::{Order, Status, TransitionKind, order::ImpossibleOrder};

/// What becomes of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is the next one.
    Advanced,
    /// It is the last one known: the record comes again, as after a restore.
    Repeated,
    /// The order is further along already.
    Outdated,
}

/// Why a transition cannot be: the cause for a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The baton table does not allow it.
    #[error(transparent)]
    Impossible(#[from] ImpossibleOrder),
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

/// Decide on `order`, whose key and writer have been checked ([`Order::check_written`]).
///
/// # Errors
/// [`Refused`].
pub fn decide(entry: &Entry, order: &Order) -> Result<Decision, Refused> {
    let known = entry.order.as_ref();
    if order.follows(known)? {
        return Ok(Decision::Advanced);
    }
    match known {
        Some(known) if known == order => Ok(Decision::Repeated),
        Some(known) if known.version == order.version => Err(Refused::Contradicts {
            version: order.version,
            known: known.transition,
            found: order.transition,
        }),
        Some(_) | None => Ok(Decision::Outdated),
    }
}

/// Know the order after the next transition. `placed_at` is [`Entry::placed_at`], as the record
/// of OrderRequested tells it.
pub fn evolve(entry: &mut Entry, order: &Order, placed_at: Option<i64>) {
    // Read back, or overtaken by another record of the same version.
    entry.proposed = None;
    if order.transition == TransitionKind::OrderRequested {
        entry.placed_at = placed_at;
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
    entry.order = Some(order.clone());
}
