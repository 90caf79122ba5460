//! Time: orders forgets outcomes whose order never comes.
//!
//! A check runs because of an order, so its outcome arrives before the order only if one topic
//! overtakes another. An outcome that waits longer was an error, and would otherwise stay for ever.

use crate::domain::Entry;
use contracts::Timestamp;

// State: an Entry. Input: none but the time.

/// What becomes of outcomes that wait for their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: none waits, or not for long enough.
    Wait,
    /// Their order will not come.
    Forget,
}

/// Decide on what waits at `now`.
pub fn decide(entry: &Entry, now: Timestamp) -> Decision {
    let waits = entry.standing().is_none();
    match entry.due() {
        Some(due) if waits && due <= now => Decision::Forget,
        Some(_) | None => Decision::Wait,
    }
}

/// What is known after `decision`.
pub fn evolve(mut entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Wait => {}
        Decision::Forget => {
            entry.outcomes.clear();
            entry.waiting_since = None;
        }
    }
    entry
}
