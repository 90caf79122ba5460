//! CancelOrder in each status.

use contracts::{Status, orders::CancelOrder};
use orders::domain::{
    Entry,
    cancel_order::{Decision, Input, decide},
};

use crate::fixtures::{NOW, cancel, command_id, entry_at, order_at};

fn check(given: &Entry, offset: i64, then: &str) {
    let told = match decide(given, Input { command: &cancel(1, 9), offset }, NOW) {
        Decision::Refused(reason) => reason.code,
        Decision::Remembered(command) if command == command_id(9) => "Remembered".to_owned(),
        decision => format!("{decision:?}"),
    };
    assert_eq!(told, then, "given {given:?}");
}

#[test]
fn it_is_remembered_until_the_order_has_ended_and_refused_afterwards() {
    for (status, then) in [
        (Status::Requested, "Remembered"),
        (Status::Validated, "Remembered"),
        (Status::Paid, "Remembered"),
        (Status::PaymentDeclined, "Remembered"),
        (Status::RefundDue, "already_refund_due"),
        (Status::Confirmed, "already_confirmed"),
        (Status::Rejected, "already_rejected"),
        (Status::Cancelled, "already_cancelled"),
        (Status::Refunded, "already_refunded"),
    ] {
        check(&entry_at(status), 5, then);
    }
    check(&Entry::default(), 5, "unknown_order");
}

#[test]
fn what_is_in_flight_counts_as_done() {
    let proposed =
        |entry: Entry, status| Entry { proposed: Some(order_at(status, 1).into()), ..entry };
    check(&proposed(Entry::default(), Status::Requested), 5, "Remembered");
    check(&proposed(entry_at(Status::Requested), Status::Validated), 5, "Remembered");
    check(&proposed(entry_at(Status::Requested), Status::Rejected), 5, "already_rejected");
    check(&proposed(entry_at(Status::Paid), Status::Confirmed), 5, "already_confirmed");
}

#[test]
fn a_second_one_adds_nothing() {
    for status in [Status::Requested, Status::Validated, Status::Paid, Status::PaymentDeclined] {
        let remembered = Entry { cancellation: Some(command_id(8)), ..entry_at(status) };
        check(&remembered, 5, "Repeated");
    }
}

#[test]
fn one_from_before_the_order_was_placed_stays_refused() {
    let placed = Entry { placed_at: Some(5), ..entry_at(Status::Requested) };
    check(&placed, 4, "unknown_order");
    check(&placed, 6, "Remembered");
}

#[test]
fn to_a_customer_no_order_of_another_one_is_there() {
    let told = |customer: &str, given: &Entry| {
        let command = CancelOrder { customer_id: customer.parse().ok(), ..cancel(1, 9) };
        match decide(given, Input { command: &command, offset: 5 }, NOW) {
            Decision::Refused(reason) => (reason.code, reason.detail),
            decision => (format!("{decision:?}"), String::new()),
        }
    };
    let none = told("eve", &Entry::default());
    let remembered = Entry { cancellation: Some(command_id(8)), ..entry_at(Status::Requested) };
    for entry in [entry_at(Status::Requested), entry_at(Status::Confirmed), remembered] {
        assert_eq!(told("eve", &entry), none);
    }
    let owner = entry_at(Status::Requested);
    let owner_id = owner.standing().unwrap().customer.customer_id.to_string();
    assert!(told(&owner_id, &owner).0.starts_with("Remembered"));
}
