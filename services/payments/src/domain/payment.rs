//! The payment of one order, from the intent to charge to its end.
//!
//! The bank may capture without an answer, answer too late, or be away. Whatever it does, an order
//! has at most one capture (the bank's idempotency key is the order id), exactly one outcome, and
//! no money stays with the shop for an order that was declined.

use contracts::{
    Next, Order, Reason, Timestamp,
    baton::Impossible,
    transitions::{PaymentDeclined, PaymentReceived, PaymentRefunded},
};
use std::time::Duration;

// ---------------------------------------------------------------------------------------- State

/// What payments knows of one order; `None` before it has heard of it.
pub type State = Option<Payment>;

/// The payment of one order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payment {
    /// The order as payments knows it: the base of its next transition.
    pub order: Order,
    /// Where the money is.
    pub status: Status,
    /// The bank may hold a charge that must not be there: it is voided until the bank says so.
    pub void_due: bool,
    /// The bank's id of the capture, once it is known.
    pub reference: Option<String>,
}

/// Where the money of an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// To be charged; the outcome is unknown.
    Intent,
    /// With the shop.
    Captured,
    /// With the customer, as far as `orders` is concerned for good; see [`Payment::void_due`].
    Declined,
    /// With the shop, but it must go back.
    RefundDue,
    /// With the customer again.
    Refunded,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] =
        [Status::Intent, Status::Captured, Status::Declined, Status::RefundDue, Status::Refunded];

    /// The name in the database and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Intent => "intent",
            Status::Captured => "captured",
            Status::Declined => "declined",
            Status::RefundDue => "refund_due",
            Status::Refunded => "refunded",
        }
    }
}

/// What payments owes the bank a call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Take the money.
    Charge,
    /// Undo the charge, or bar it.
    Void,
    /// Give the money back.
    Refund,
}

impl Payment {
    /// What is to be asked of the bank, if anything is.
    pub fn task(&self) -> Option<Task> {
        match self.status {
            Status::Intent => Some(Task::Charge),
            Status::RefundDue => Some(Task::Refund),
            Status::Declined if self.void_due => Some(Task::Void),
            Status::Declined | Status::Captured | Status::Refunded => None,
        }
    }
}

/// The longest wait between two calls for one payment.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long to wait, at most, after the `attempts`-th call for one task has given no answer: 100 ms
/// doubled each time, up to 5 s. The caller spreads it at random.
pub fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    Duration::from_millis(100 << doublings).min(BACKOFF_MAX)
}

// ---------------------------------------------------------------------------------------- Input

/// What can happen to a payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// From `orders`: every check has passed, payments holds the baton.
    OrderValidated(Order),
    /// From `orders`: cancelled after it was paid, payments holds the baton again.
    RefundDue(Order),
    /// The bank has answered a charge.
    BankAnswered(Answer),
    /// The bank has not answered, or not in a way that says what it did; and how it failed.
    BankUnknown(String),
    /// The order's deadline has come.
    DeadlinePassed,
    /// The bank has undone the charge, or will refuse it.
    VoidConfirmed,
    /// The bank has given the money back.
    RefundConfirmed,
}

/// How the bank answers a charge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It has the money.
    Captured {
        /// Its id of the capture.
        reference: String,
    },
    /// It says no, and holds nothing.
    Declined {
        /// Stable, for programs.
        code: String,
        /// For people.
        detail: String,
    },
    /// It will never accept this request.
    Refused {
        /// Stable, for programs.
        code: String,
        /// For people.
        detail: String,
    },
    /// The key was voided: it can never be charged.
    Voided,
}

// ------------------------------------------------------------------------------------- Decision

/// What becomes of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Remember it; the bank is to be charged.
    Intend(Order),
    /// The money is here: tell `orders`.
    Capture {
        /// What to tell.
        next: Next<PaymentReceived>,
        /// The bank's id of the capture.
        reference: String,
    },
    /// There will be no money: tell `orders`, and leave nothing at the bank.
    Decline {
        /// What to tell.
        next: Next<PaymentDeclined>,
        /// What the bank may hold.
        at_bank: AtBank,
    },
    /// The bank has captured what `orders` knows as declined: void it.
    VoidLate {
        /// The bank's id of the capture.
        reference: String,
    },
    /// The bank holds nothing any more.
    Voided,
    /// The money must go back.
    OweRefund(Order),
    /// The money went back: tell `orders`.
    Refund {
        /// What to tell.
        next: Next<PaymentRefunded>,
    },
    /// Nothing is known yet: ask the bank again; and why the last time failed.
    Retry(String),
    /// There is nothing to do.
    Ignored(Ignored),
    /// This cannot have happened: a record that says so is poison.
    Impossible(String),
}

/// What the bank may hold when a payment is declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtBank {
    /// Nothing: it was never asked, or it said no.
    Nothing,
    /// A charge, perhaps: it was asked and did not answer in time.
    Unknown,
    /// The money: it answered too late.
    Captured {
        /// Its id of the capture.
        reference: String,
    },
}

/// Why nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The record has been handled before, or a later one of its order.
    AlreadyKnown,
    /// The charge has its outcome already.
    AlreadySettled,
    /// The void has been confirmed already, or there is nothing to void.
    NoVoidDue,
    /// The refund has been confirmed already.
    AlreadyRefunded,
    /// The deadline is still to come.
    BeforeDeadline,
}

// --------------------------------------------------------------------------------------- decide

/// Decides on `input` for the payment of one order at the time `now`.
///
/// An answer counts if it is here before the deadline; a capture that is, wins over a deadline that
/// comes later.
pub fn decide(state: &State, input: Input, now: Timestamp) -> Decision {
    match input {
        Input::OrderValidated(order) => on_order_validated(state, order, now),
        Input::RefundDue(order) => on_refund_due(state, order),
        Input::BankAnswered(answer) => known(state, |p| on_bank_answered(p, answer, now)),
        Input::BankUnknown(why) => known(state, |p| on_bank_unknown(p, why, now)),
        Input::DeadlinePassed => known(state, |p| on_deadline(p, now)),
        Input::VoidConfirmed => known(state, on_void_confirmed),
        Input::RefundConfirmed => known(state, |p| on_refund_confirmed(p, now)),
    }
}

fn known(state: &State, decide: impl FnOnce(&Payment) -> Decision) -> Decision {
    match state {
        Some(payment) => decide(payment),
        None => Decision::Impossible("the bank was never asked for this order".into()),
    }
}

fn on_order_validated(state: &State, order: Order, now: Timestamp) -> Decision {
    match state {
        Some(_) => Decision::Ignored(Ignored::AlreadyKnown),
        // The bank was never asked, so it holds nothing.
        None if now >= order.deadline => {
            let late_ms = (now - order.deadline).as_millis();
            let detail = format!(
                "the order came to payments {late_ms} ms after its deadline: the bank was not asked"
            );
            decline(&order, Reason::new("deadline", "deadline", detail), AtBank::Nothing, now)
        }
        None => Decision::Intend(order),
    }
}

fn on_refund_due(state: &State, order: Order) -> Decision {
    let Some(payment) = state else {
        return Decision::Impossible("a refund is due, but the order was never paid here".into());
    };
    match order.follows(Some(&payment.order)) {
        Ok(true) => Decision::OweRefund(order),
        Ok(false) => Decision::Ignored(Ignored::AlreadyKnown),
        Err(impossible) => Decision::Impossible(impossible.to_string()),
    }
}

fn on_bank_answered(payment: &Payment, answer: Answer, now: Timestamp) -> Decision {
    match payment.status {
        Status::Intent => settle(&payment.order, answer, now),
        Status::Declined => match answer {
            Answer::Captured { reference } if payment.reference.is_none() => {
                Decision::VoidLate { reference }
            }
            Answer::Captured { .. }
            | Answer::Declined { .. }
            | Answer::Refused { .. }
            | Answer::Voided => Decision::Ignored(Ignored::AlreadySettled),
        },
        Status::Captured | Status::RefundDue | Status::Refunded => {
            Decision::Ignored(Ignored::AlreadySettled)
        }
    }
}

fn settle(order: &Order, answer: Answer, now: Timestamp) -> Decision {
    match answer {
        Answer::Captured { reference } if now >= order.deadline => {
            decline(order, deadline_reason(), AtBank::Captured { reference }, now)
        }
        Answer::Captured { reference } => {
            let received = PaymentReceived { reference: reference.clone(), at: now };
            let next = order.next(received, now);
            possible(next.map(|next| Decision::Capture { next, reference }))
        }
        Answer::Declined { code, detail } => {
            decline(order, Reason::new("payment", code, detail), AtBank::Nothing, now)
        }
        // It may be the key that the bank does not like, as it knows it from another charge.
        Answer::Refused { code, detail } => {
            decline(order, Reason::new("payment", code, detail), AtBank::Unknown, now)
        }
        Answer::Voided => {
            let reason = Reason::new("payment", "voided", "the bank was told to void the charge");
            decline(order, reason, AtBank::Nothing, now)
        }
    }
}

fn on_bank_unknown(payment: &Payment, why: String, now: Timestamp) -> Decision {
    match payment.task() {
        Some(Task::Charge) if now >= payment.order.deadline => on_deadline(payment, now),
        Some(Task::Charge | Task::Void | Task::Refund) => Decision::Retry(why),
        None => Decision::Ignored(Ignored::AlreadySettled),
    }
}

fn on_deadline(payment: &Payment, now: Timestamp) -> Decision {
    match payment.status {
        Status::Intent if now < payment.order.deadline => {
            Decision::Ignored(Ignored::BeforeDeadline)
        }
        Status::Intent => decline(&payment.order, deadline_reason(), AtBank::Unknown, now),
        Status::Captured | Status::Declined | Status::RefundDue | Status::Refunded => {
            Decision::Ignored(Ignored::AlreadySettled)
        }
    }
}

fn on_void_confirmed(payment: &Payment) -> Decision {
    if payment.void_due { Decision::Voided } else { Decision::Ignored(Ignored::NoVoidDue) }
}

fn on_refund_confirmed(payment: &Payment, now: Timestamp) -> Decision {
    match payment.status {
        Status::RefundDue => {
            let next = payment.order.next(PaymentRefunded { at: now }, now);
            possible(next.map(|next| Decision::Refund { next }))
        }
        Status::Refunded => Decision::Ignored(Ignored::AlreadyRefunded),
        Status::Intent | Status::Captured | Status::Declined => {
            Decision::Impossible("the bank gave back what was not to be given back".into())
        }
    }
}

fn decline(order: &Order, reason: Reason, at_bank: AtBank, now: Timestamp) -> Decision {
    let next = order.next(PaymentDeclined { reason, at: now }, now);
    possible(next.map(|next| Decision::Decline { next, at_bank }))
}

fn deadline_reason() -> Reason {
    Reason::new("deadline", "deadline", "there was no answer from the bank by the deadline")
}

fn possible(decision: Result<Decision, Impossible>) -> Decision {
    decision.unwrap_or_else(|impossible| Decision::Impossible(impossible.to_string()))
}

// --------------------------------------------------------------------------------------- evolve

/// What is known after `decision`.
pub fn evolve(state: State, decision: &Decision) -> State {
    let at_rest = |order: &Order, status| Payment {
        order: order.clone(),
        status,
        void_due: false,
        reference: state.as_ref().and_then(|payment| payment.reference.clone()),
    };
    match decision {
        Decision::Intend(order) => Some(at_rest(order, Status::Intent)),
        Decision::Capture { next, reference } => Some(Payment {
            reference: Some(reference.clone()),
            ..at_rest(next.order(), Status::Captured)
        }),
        Decision::Decline { next, at_bank } => {
            let declined = at_rest(next.order(), Status::Declined);
            Some(match at_bank {
                AtBank::Nothing => declined,
                AtBank::Unknown => Payment { void_due: true, ..declined },
                AtBank::Captured { reference } => {
                    Payment { void_due: true, reference: Some(reference.clone()), ..declined }
                }
            })
        }
        Decision::VoidLate { reference } => state.map(|payment| Payment {
            void_due: true,
            reference: Some(reference.clone()),
            ..payment
        }),
        Decision::Voided => state.map(|payment| Payment { void_due: false, ..payment }),
        Decision::OweRefund(order) => Some(at_rest(order, Status::RefundDue)),
        Decision::Refund { next } => Some(at_rest(next.order(), Status::Refunded)),
        Decision::Retry(_) | Decision::Ignored(_) | Decision::Impossible(_) => state,
    }
}

#[cfg(test)]
mod tests;
