//! The next transition, if it is ours and due: the one place that proposes after OrderRequested.
//!
//! If several reasons apply at once, the first of these counts:
//!
//! 1. **The customer** has cancelled. The cancellation was accepted, so it is a promise: nothing
//!    else may end the order after it.
//! 2. **A check** has failed. It says more than the deadline that may have passed as well.
//! 3. **The deadline** is over. Even if all checks have passed by now: payments would only decline
//!    an order that is past its deadline, one transition later.
//! 4. **All checks** have passed.

use crate::domain::{CheckOutcome, Entry};
use contracts::{
    Next, Order, Reason, Status, Timestamp, Transition,
    transitions::{OrderCancelled, OrderConfirmed, OrderRejected, OrderValidated},
};
use std::sync::Arc;

/// What to do about an order now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send this transition.
    Propose(Proposal),
    /// The baton is here, but outcomes are missing and there is time.
    Wait,
    /// A proposal of ours has not been read back.
    InFlight,
    /// Payments holds the baton.
    NotOurs,
    /// No service holds it: the order has ended.
    Settled,
    /// There is no such order (yet).
    Unknown,
}

/// A transition of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// All required checks have passed.
    Validated(Next<OrderValidated>),
    /// Some have failed.
    Rejected(Next<OrderRejected>),
    /// Customer, deadline or a declined payment.
    Cancelled(Next<OrderCancelled>),
    /// Paid.
    Confirmed(Next<OrderConfirmed>),
}

impl Proposal {
    /// The order after it.
    pub fn order(&self) -> &Arc<Order> {
        match self {
            Self::Validated(next) => next.order(),
            Self::Rejected(next) => next.order(),
            Self::Cancelled(next) => next.order(),
            Self::Confirmed(next) => next.order(),
        }
    }
}

// State: an Entry. Input: none but the time, so that `decide` is the same after any record.

/// Decide on what is known at `now`.
pub fn decide(entry: &Entry, now: Timestamp) -> Decision {
    if entry.proposed.is_some() {
        return Decision::InFlight;
    }
    let Some(order) = &entry.order else { return Decision::Unknown };
    match order.status {
        Status::Requested => decide_requested(entry, order, now),
        Status::Paid if entry.cancellation.is_some() => cancel(order, by_customer(), now),
        Status::Paid => Decision::Propose(Proposal::Confirmed(next(order, OrderConfirmed, now))),
        Status::PaymentDeclined if entry.cancellation.is_some() => {
            cancel(order, by_customer(), now)
        }
        Status::PaymentDeclined => cancel(order, unpaid(), now),
        Status::Validated | Status::RefundDue => Decision::NotOurs,
        Status::Confirmed | Status::Rejected | Status::Cancelled | Status::Refunded => {
            Decision::Settled
        }
    }
}

/// What is known after `decision`: a proposal is on its way to the log.
pub fn evolve(mut entry: Entry, decision: &Decision) -> Entry {
    match decision {
        Decision::Propose(proposal) => entry.proposed = Some(Arc::clone(proposal.order())),
        Decision::Wait
        | Decision::InFlight
        | Decision::NotOurs
        | Decision::Settled
        | Decision::Unknown => {}
    }
    entry
}

fn decide_requested(entry: &Entry, order: &Order, now: Timestamp) -> Decision {
    if entry.cancellation.is_some() {
        return cancel(order, by_customer(), now);
    }
    let (mut missing, mut failures) = (Vec::new(), Vec::new());
    for check in &order.required_checks {
        match entry.outcomes.get(check) {
            Some(CheckOutcome::Passed) => {}
            Some(CheckOutcome::Failed(reason)) => failures.push(reason.clone()),
            None => missing.push(check.as_str()),
        }
    }
    if !failures.is_empty() {
        let rejected = OrderRejected { reasons: failures };
        return Decision::Propose(Proposal::Rejected(next(order, rejected, now)));
    }
    if now >= order.deadline {
        return cancel(order, overdue(&missing), now);
    }
    if missing.is_empty() {
        Decision::Propose(Proposal::Validated(next(order, OrderValidated, now)))
    } else {
        Decision::Wait
    }
}

fn cancel(order: &Order, reason: Reason, now: Timestamp) -> Decision {
    Decision::Propose(Proposal::Cancelled(next(order, OrderCancelled { reason }, now)))
}

fn by_customer() -> Reason {
    Reason::new("customer", "cancelled_by_customer", "the customer has cancelled the order")
}

fn overdue(missing: &[&str]) -> Reason {
    let detail = if missing.is_empty() {
        "every check has passed, but after the deadline".to_owned()
    } else {
        format!("still missing at the deadline: {}", missing.join(", "))
    };
    Reason::new("deadline", "deadline", detail)
}

/// Payments has said why; this says what it meant for the order.
fn unpaid() -> Reason {
    Reason::new("payment", "payment_declined", "cancelled, as it was not paid")
}

fn next<T: Transition>(order: &Order, transition: T, now: Timestamp) -> Next<T> {
    let next = order.next(transition, now);
    next.expect("the baton table has every step that is proposed here: a test takes each of them")
}
