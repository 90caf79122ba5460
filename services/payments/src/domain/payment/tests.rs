//! Goal: the payment's state machine, as tables, and its Laws for every order of events.

use super::*;
use crate::domain::books::{self, Booking};
use testkit::orders::{cancelled_after_payment, validated};

const DEADLINE: Timestamp = Timestamp(1_000);
const EARLY: Timestamp = Timestamp(999);

fn captured() -> Input {
    Input::BankAnswered(Answer::Captured { reference: "ch_1".into() })
}

fn declined() -> Input {
    Input::BankAnswered(Answer::Declined { code: "amount_rule".into(), detail: "no".into() })
}

fn refused() -> Input {
    Input::BankAnswered(Answer::Refused { code: "invalid_request".into(), detail: "no".into() })
}

fn no_answer() -> Input {
    Input::BankUnknown("timeout".into())
}

fn refund_due() -> Input {
    Input::RefundDue(cancelled_after_payment(&validated(DEADLINE)))
}

/// A decision by its name and what it leaves behind: `declined+void ch_1`.
fn name(state: &State, decision: &Decision) -> String {
    match decision {
        Decision::Retry(_) => "retry".into(),
        Decision::Ignored(why) => format!("ignored {why:?}"),
        Decision::Impossible(_) => "impossible".into(),
        Decision::Intend(_)
        | Decision::Capture { .. }
        | Decision::Decline { .. }
        | Decision::VoidLate { .. }
        | Decision::Voided
        | Decision::OweRefund(_)
        | Decision::Refund { .. } => {
            let after = evolve(state.clone(), decision).expect("the payment is known");
            let void = if after.void_due { "+void" } else { "" };
            let reference = after.reference.map(|text| format!(" {text}")).unwrap_or_default();
            format!("{}{void}{reference}", after.status.as_str())
        }
    }
}

/// The events so far, the event at a time, and what is decided.
fn check(given: &[(Input, Timestamp)], when: (Input, Timestamp), then: &str) {
    let state = given.iter().fold(None, |state, (input, now)| {
        let decision = decide(&state, input.clone(), *now);
        evolve(state, &decision)
    });
    let decision = decide(&state, when.0.clone(), when.1);
    let told = format!("given {given:?}\nwhen {when:?}");
    assert_eq!(name(&state, &decision), then, "{told}");
}

fn intent() -> (Input, Timestamp) {
    (Input::OrderValidated(validated(DEADLINE)), EARLY)
}

#[test]
fn an_order_is_charged_once_and_only_before_its_deadline() {
    check(&[], intent(), "intent");
    check(&[], (intent().0, DEADLINE), "declined");
    check(&[intent()], intent(), "ignored AlreadyKnown");
    check(&[intent(), (captured(), EARLY)], intent(), "ignored AlreadyKnown");
}

#[test]
fn the_first_answer_in_time_decides() {
    check(&[intent()], (captured(), EARLY), "captured ch_1");
    check(&[intent()], (declined(), EARLY), "declined");
    check(&[intent()], (declined(), DEADLINE), "declined");
    check(&[intent()], (refused(), EARLY), "declined+void");
    check(&[intent()], (Input::BankAnswered(Answer::Voided), EARLY), "declined");
    check(&[intent()], (captured(), DEADLINE), "declined+void ch_1");
    check(&[intent(), (captured(), EARLY)], (captured(), EARLY), "ignored AlreadySettled");
    check(&[intent(), (captured(), EARLY)], (declined(), EARLY), "ignored AlreadySettled");
}

#[test]
fn silence_is_asked_again_until_the_deadline() {
    check(&[intent()], (no_answer(), EARLY), "retry");
    check(&[intent()], (no_answer(), DEADLINE), "declined+void");
    check(&[intent()], (Input::DeadlinePassed, EARLY), "ignored BeforeDeadline");
    check(&[intent()], (Input::DeadlinePassed, DEADLINE), "declined+void");
    let paid = [intent(), (captured(), EARLY)];
    check(&paid, (Input::DeadlinePassed, DEADLINE), "ignored AlreadySettled");
    check(&paid, (no_answer(), EARLY), "ignored AlreadySettled");
}

#[test]
fn what_comes_after_a_decline_is_voided_until_acknowledged() {
    let late = [intent(), (Input::DeadlinePassed, DEADLINE)];
    check(&late, (captured(), DEADLINE), "declined+void ch_1");
    check(&late, (no_answer(), DEADLINE), "retry");
    check(&late, (declined(), DEADLINE), "ignored AlreadySettled");
    check(&late, (Input::VoidConfirmed, DEADLINE), "declined");
    let voided = [late[0].clone(), late[1].clone(), (Input::VoidConfirmed, DEADLINE)];
    check(&voided, (Input::VoidConfirmed, DEADLINE), "ignored NoVoidDue");
    check(&voided, (captured(), DEADLINE), "declined+void ch_1");
    check(&[intent(), (declined(), EARLY)], (captured(), EARLY), "declined+void ch_1");
    check(&[intent()], (Input::VoidConfirmed, EARLY), "ignored NoVoidDue");
}

#[test]
fn a_refund_follows_a_capture_and_happens_once() {
    let owed = [intent(), (captured(), EARLY), (refund_due(), EARLY)];
    check(&owed[..2], (refund_due(), EARLY), "refund_due ch_1");
    check(&owed, (refund_due(), EARLY), "ignored AlreadyKnown");
    check(&owed, (no_answer(), DEADLINE), "retry");
    check(&owed, (Input::RefundConfirmed, DEADLINE), "refunded ch_1");
    let refunded = [&owed[..], &[(Input::RefundConfirmed, EARLY)]].concat();
    check(&refunded, (Input::RefundConfirmed, EARLY), "ignored AlreadyRefunded");
    check(&refunded, (refund_due(), EARLY), "ignored AlreadyKnown");
}

#[test]
fn what_cannot_have_happened_is_said_to_be_impossible() {
    check(&[], (refund_due(), EARLY), "impossible");
    check(&[intent()], (refund_due(), EARLY), "impossible");
    check(&[intent(), (declined(), EARLY)], (refund_due(), EARLY), "impossible");
    check(&[], (captured(), EARLY), "impossible");
    check(&[intent(), (captured(), EARLY)], (Input::RefundConfirmed, EARLY), "impossible");
}

/// What must hold after each sequence of events, whatever it is.
struct Story {
    payment: State,
    outcomes: Vec<&'static str>,
    bookings: Vec<Booking>,
}

fn tell(inputs: &[(Input, Timestamp)]) -> Story {
    let mut story = Story { payment: None, outcomes: Vec::new(), bookings: Vec::new() };
    for (input, now) in inputs {
        let decision = decide(&story.payment, input.clone(), *now);
        story.bookings.extend(books::booking(&story.payment, &decision));
        match &decision {
            Decision::Capture { .. } => story.outcomes.push("received"),
            Decision::Decline { .. } => story.outcomes.push("declined"),
            Decision::Refund { .. } => story.outcomes.push("refunded"),
            Decision::Intend(_)
            | Decision::VoidLate { .. }
            | Decision::Voided
            | Decision::OweRefund(_)
            | Decision::Retry(_)
            | Decision::Ignored(_)
            | Decision::Impossible(_) => {}
        }
        story.payment = evolve(story.payment, &decision);
    }
    story
}

/// Every order of `items`.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let mut rest = items.to_vec();
        let item = rest.remove(first);
        permutations(&rest).into_iter().map(move |rest| [vec![item.clone()], rest].concat())
    };
    (0..items.len()).flat_map(with_first).collect()
}

#[test]
fn the_laws_hold_in_every_order_of_answers_deadline_crashes_and_refund() {
    // A crash between the bank's answer and its commit is an answer that comes again.
    let events = [
        captured(),
        captured(),
        no_answer(),
        Input::DeadlinePassed,
        refund_due(),
        Input::RefundConfirmed,
        Input::VoidConfirmed,
    ];
    for events in permutations(&events) {
        // From the deadline on, everything is late.
        let deadline = events.iter().position(|event| *event == Input::DeadlinePassed);
        let at = |i| if Some(i) < deadline { EARLY } else { DEADLINE };
        let timed = events.iter().cloned().enumerate().map(|(i, event)| (event, at(i)));
        let story: Vec<_> = [intent()].into_iter().chain(timed).collect();
        let Story { payment, outcomes, bookings } = tell(&story);
        let payment = payment.expect("it has begun");
        let in_time = events[..deadline.unwrap_or(0)].contains(&captured());
        let first = if in_time { "received" } else { "declined" };
        assert_eq!(outcomes.first(), Some(&first), "{story:?}");
        assert!(outcomes.len() == 1 || outcomes == ["received", "refunded"], "{story:?}");
        for kind in [Booking::Capture, Booking::Refund, Booking::Void] {
            assert!(bookings.iter().filter(|booked| **booked == kind).count() <= 1, "{story:?}");
        }
        assert_eq!(outcomes.contains(&"refunded"), payment.status == Status::Refunded);
        // What was captured is with the shop, given back, or being voided.
        if payment.status == Status::Declined && payment.reference.is_some() {
            assert!(payment.void_due || bookings.contains(&Booking::Void), "{story:?}");
        }
    }
}

#[test]
fn backoff_doubles_up_to_its_cap() {
    let waits: Vec<_> = (0..8).map(|n| backoff(n).as_millis()).collect();
    assert_eq!(waits, [100, 100, 200, 400, 800, 1600, 3200, 5000]);
    assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
}
