//! The baton: at each status that is not final, exactly one service owns the next transition.
//!
//! The choreography is this table. `decide` in a service may propose a transition only when its
//! service holds the baton, so two services never race for the same step, and the system needs no
//! merge and no tie-break. Types enforce which service may *send* a transition ([`crate::Owns`]).

use crate::ServiceName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The status of an order. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Accepted, priced; the required checks are out.
    Requested,
    /// Every check has passed; the payment is due.
    Validated,
    /// The bank has captured the total.
    Paid,
    /// The bank, or the deadline, has declined the payment.
    PaymentDeclined,
    /// Cancelled after it was paid: the money goes back.
    RefundDue,
    /// Settled well: paid, and the goods leave.
    Confirmed,
    /// Settled: a check failed.
    Rejected,
    /// Settled: cancelled, and no money is held.
    Cancelled,
    /// Settled: cancelled, and the money went back.
    Refunded,
}

impl Status {
    /// Every status, in schema order.
    pub const ALL: [Status; 9] = [
        Status::Requested,
        Status::Validated,
        Status::Paid,
        Status::PaymentDeclined,
        Status::RefundDue,
        Status::Confirmed,
        Status::Rejected,
        Status::Cancelled,
        Status::Refunded,
    ];

    /// The service that holds the baton; none when the order is settled.
    pub fn holder(self) -> Option<ServiceName> {
        holder(Some(self))
    }

    /// Whether the order has ended: no service may write a further transition.
    pub fn is_terminal(self) -> bool {
        self.holder().is_none()
    }

    /// The name in HTTP bodies: snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Requested => "requested",
            Status::Validated => "validated",
            Status::Paid => "paid",
            Status::PaymentDeclined => "payment_declined",
            Status::RefundDue => "refund_due",
            Status::Confirmed => "confirmed",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
            Status::Refunded => "refunded",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to an order. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TransitionKind {
    /// A PlaceOrder was accepted.
    OrderRequested,
    /// Every required check has passed.
    OrderValidated,
    /// A required check has failed.
    OrderRejected,
    /// The customer, the deadline or a declined payment ended it.
    OrderCancelled,
    /// Paid, and nothing speaks against it.
    OrderConfirmed,
    /// The bank has captured the total.
    PaymentReceived,
    /// The bank, or the deadline, said no.
    PaymentDeclined,
    /// The bank has given the total back.
    PaymentRefunded,
}

impl TransitionKind {
    /// The name of the event, as in `ce_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            TransitionKind::OrderRequested => "OrderRequested",
            TransitionKind::OrderValidated => "OrderValidated",
            TransitionKind::OrderRejected => "OrderRejected",
            TransitionKind::OrderCancelled => "OrderCancelled",
            TransitionKind::OrderConfirmed => "OrderConfirmed",
            TransitionKind::PaymentReceived => "PaymentReceived",
            TransitionKind::PaymentDeclined => "PaymentDeclined",
            TransitionKind::PaymentRefunded => "PaymentRefunded",
        }
    }
}

impl fmt::Display for TransitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row of the table: status, transition, next status, and its only writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The status before; `None` before the order exists.
    pub from: Option<Status>,
    /// What happens.
    pub transition: TransitionKind,
    /// The status after.
    pub to: Status,
    /// The holder of the baton in `from`, the only writer of this step.
    pub writer: ServiceName,
}

const fn step(
    from: Option<Status>,
    transition: TransitionKind,
    to: Status,
    writer: ServiceName,
) -> Step {
    Step { from, transition, to, writer }
}

/// The choreography, whole.
pub const STEPS: [Step; 10] = {
    use ServiceName::{Orders, Payments};
    use Status as S;
    use TransitionKind as T;
    [
        step(None, T::OrderRequested, S::Requested, Orders),
        step(Some(S::Requested), T::OrderValidated, S::Validated, Orders),
        step(Some(S::Requested), T::OrderRejected, S::Rejected, Orders),
        step(Some(S::Requested), T::OrderCancelled, S::Cancelled, Orders),
        step(Some(S::Validated), T::PaymentReceived, S::Paid, Payments),
        step(Some(S::Validated), T::PaymentDeclined, S::PaymentDeclined, Payments),
        step(Some(S::Paid), T::OrderConfirmed, S::Confirmed, Orders),
        step(Some(S::Paid), T::OrderCancelled, S::RefundDue, Orders),
        step(Some(S::PaymentDeclined), T::OrderCancelled, S::Cancelled, Orders),
        step(Some(S::RefundDue), T::PaymentRefunded, S::Refunded, Payments),
    ]
};

/// A transition that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{transition} is impossible from {}", .from.map_or("nothing", Status::as_str))]
pub struct Impossible {
    /// The status it was tried from.
    pub from: Option<Status>,
    /// What was tried.
    pub transition: TransitionKind,
}

/// The step that `transition` makes from `from`.
///
/// # Errors
/// [`Impossible`] when the table has no such row.
pub fn take(from: Option<Status>, transition: TransitionKind) -> Result<Step, Impossible> {
    STEPS
        .into_iter()
        .find(|step| step.from == from && step.transition == transition)
        .ok_or(Impossible { from, transition })
}

/// The statuses that a transition of this name leads to, from wherever it starts; none if there is
/// no such transition.
pub fn leads_to(transition: &str) -> impl Iterator<Item = Status> {
    STEPS.into_iter().filter(move |step| step.transition.as_str() == transition).map(|step| step.to)
}

/// The service that holds the baton at `status` (`None`: before the order exists).
pub fn holder(status: Option<Status>) -> Option<ServiceName> {
    STEPS.into_iter().find(|step| step.from == status).map(|step| step.writer)
}

/// The writer of `transition`: the same service, whichever status it starts from.
pub fn writer(transition: TransitionKind) -> Option<ServiceName> {
    STEPS.into_iter().find(|step| step.transition == transition).map(|step| step.writer)
}

/// Whether some path through the table arrives at `to` by `transition` as its `version`-th step.
///
/// A service that keeps no history of an order uses this to refuse a forged or misplaced record.
pub fn reachable(transition: TransitionKind, to: Status, version: i64) -> bool {
    let mut frontier: Vec<Option<Status>> = vec![None];
    for depth in 1..=STEPS.len() as i64 {
        let steps = STEPS.into_iter().filter(|step| frontier.contains(&step.from));
        if depth == version {
            return steps.into_iter().any(|step| step.transition == transition && step.to == to);
        }
        frontier = steps.map(|step| Some(step.to)).collect();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_status_has_at_most_one_owner_and_each_step_one_row() {
        for from in Status::ALL.into_iter().map(Some).chain([None]) {
            let steps: Vec<_> = STEPS.into_iter().filter(|step| step.from == from).collect();
            let writers: BTreeSet<_> = steps.iter().map(|step| step.writer).collect();
            assert!(writers.len() <= 1, "{from:?} has several owners: {writers:?}");
            let kinds: BTreeSet<_> = steps.iter().map(|step| step.transition).collect();
            assert_eq!(kinds.len(), steps.len(), "{from:?} has a step twice");
        }
    }

    #[test]
    fn each_status_is_reached_and_reaches_a_terminal_one() {
        for status in Status::ALL {
            assert!(STEPS.into_iter().any(|step| step.to == status), "{status} is never reached");
            let (mut seen, mut todo) = (BTreeSet::new(), vec![status]);
            while let Some(next) = todo.pop() {
                if seen.insert(next) {
                    let ways_out = STEPS.into_iter().filter(|step| step.from == Some(next));
                    todo.extend(ways_out.map(|step| step.to));
                }
            }
            assert!(seen.into_iter().any(Status::is_terminal), "{status} never ends");
        }
    }

    #[test]
    fn the_terminal_statuses_are_the_four_settled_ones() {
        let terminal: Vec<_> = Status::ALL.into_iter().filter(|s| s.is_terminal()).collect();
        let settled = [Status::Confirmed, Status::Rejected, Status::Cancelled, Status::Refunded];
        assert_eq!(terminal, settled);
    }

    #[test]
    fn reachable_knows_the_versions_of_every_path() {
        use {Status as S, TransitionKind as T};
        assert!(reachable(T::OrderRequested, S::Requested, 1));
        assert!(reachable(T::OrderConfirmed, S::Confirmed, 4));
        assert!(reachable(T::OrderCancelled, S::Cancelled, 2));
        assert!(reachable(T::OrderCancelled, S::Cancelled, 4));
        assert!(!reachable(T::OrderCancelled, S::Cancelled, 3));
        assert!(!reachable(T::OrderConfirmed, S::Confirmed, 2));
        assert!(!reachable(T::OrderRequested, S::Requested, 0));
        assert!(!reachable(T::PaymentRefunded, S::Refunded, 99));
    }
}
