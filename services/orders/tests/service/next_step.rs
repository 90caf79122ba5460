//! Every transition that orders may propose, and every reason not to: one table.

use std::collections::BTreeSet;

use contracts::{Order, ServiceName, Status, Timestamp, TransitionKind, baton::STEPS};
use orders::domain::{
    CheckOutcome, Entry,
    next_step::{Decision, decide},
    order_transition, order_validation,
};

use crate::fixtures::{DEADLINE, NOW, command_id, entry_at, failed, kept, order_at, passed};

/// What an entry knows besides its order.
#[derive(Clone, Copy)]
enum Known {
    Passed(&'static str),
    Failed(&'static str),
    Cancellation,
    InFlight(Status),
}
use Known::{Cancellation, Failed, InFlight, Passed};

fn given(status: Status, known: &[Known]) -> Entry {
    let mut entry = entry_at(status);
    for known in known {
        match known {
            Passed(sku) => entry = order_validation::evolve(entry, &kept(&passed(1, sku))),
            Failed(sku) => entry = order_validation::evolve(entry, &kept(&failed(1, sku))),
            Cancellation => entry.cancellation = Some(command_id(9)),
            InFlight(status) => entry.proposed = Some(order_at(*status, 1).into()),
        }
    }
    entry
}

/// `transition -> status: check/code of the reasons that it adds`, or the name of the no-op.
fn told(entry: &Entry, decision: &Decision) -> String {
    let Decision::Propose(proposal) = decision else { return format!("{decision:?}") };
    let (before, after) = (entry.order.as_ref().unwrap(), proposal.order());
    let added = &after.reasons[before.reasons.len()..];
    let reasons: Vec<_> = added.iter().map(|r| format!("{}/{}", r.check, r.code)).collect();
    let told = format!("{} -> {}: {}", after.transition, after.status, reasons.join(" "));
    told.trim_end_matches(": ").to_owned()
}

fn check(given: &Entry, at: Timestamp, then: &str) {
    assert_eq!(told(given, &decide(given, at)), then, "given {given:#?}");
}

const IN_TIME: Timestamp = NOW;

fn late() -> Timestamp {
    NOW + DEADLINE
}

#[test]
fn requested_waits_for_its_checks_and_ends_by_customer_failure_or_deadline() {
    let validated = "OrderValidated -> validated";
    let rejected = "OrderRejected -> rejected: inventory:TEA/out_of_stock";
    let both = "OrderRejected -> rejected: inventory:TEA/out_of_stock inventory:MUG/out_of_stock";
    let cancelled = "OrderCancelled -> cancelled: customer/cancelled_by_customer";
    let overdue = "OrderCancelled -> cancelled: deadline/deadline";
    for (known, in_time, late_) in [
        (&[][..], "Wait", overdue),
        (&[Passed("TEA")], "Wait", overdue),
        (&[Passed("TEA"), Passed("MUG")], validated, overdue),
        (&[Failed("TEA")], rejected, rejected),
        (&[Failed("TEA"), Passed("MUG")], rejected, rejected),
        (&[Failed("MUG"), Failed("TEA")], both, both),
        (&[Cancellation], cancelled, cancelled),
        (&[Cancellation, Failed("TEA")], cancelled, cancelled),
        (&[Cancellation, Passed("TEA"), Passed("MUG")], cancelled, cancelled),
        (&[InFlight(Status::Validated), Cancellation], "InFlight", "InFlight"),
        (&[InFlight(Status::Rejected), Failed("TEA")], "InFlight", "InFlight"),
    ] {
        check(&given(Status::Requested, known), IN_TIME, in_time);
        check(&given(Status::Requested, known), late(), late_);
    }
}

#[test]
fn after_the_payment_the_customer_decides() {
    let by_customer = "customer/cancelled_by_customer";
    for at in [IN_TIME, late()] {
        check(&given(Status::Paid, &[]), at, "OrderConfirmed -> confirmed");
        let refund = format!("OrderCancelled -> refund_due: {by_customer}");
        check(&given(Status::Paid, &[Cancellation]), at, &refund);
        let unpaid = "OrderCancelled -> cancelled: payment/payment_declined";
        check(&given(Status::PaymentDeclined, &[]), at, unpaid);
        let cancelled = format!("OrderCancelled -> cancelled: {by_customer}");
        check(&given(Status::PaymentDeclined, &[Cancellation]), at, &cancelled);
        for status in [Status::Paid, Status::PaymentDeclined] {
            check(&given(status, &[InFlight(Status::Confirmed)]), at, "InFlight");
        }
    }
}

#[test]
fn what_payments_gave_as_its_reason_is_kept_before_ours() {
    let Decision::Propose(proposal) = decide(&given(Status::PaymentDeclined, &[]), NOW) else {
        panic!("the baton is ours")
    };
    let codes: Vec<_> = proposal.order().reasons.iter().map(|reason| &*reason.code).collect();
    assert_eq!(codes, ["card_declined", "payment_declined"]);
}

#[test]
fn without_the_baton_nothing_is_proposed_whatever_is_known() {
    check(&Entry::default(), late(), "Unknown");
    for status in Status::ALL {
        let nothing = match status.holder() {
            Some(ServiceName::Orders) => continue,
            Some(_) => "NotOurs",
            None => "Settled",
        };
        for known in [&[][..], &[Cancellation], &[Failed("TEA")], &[Passed("TEA"), Passed("MUG")]] {
            check(&given(status, known), IN_TIME, nothing);
            check(&given(status, known), late(), nothing);
        }
    }
}

#[test]
fn the_reason_of_a_deadline_names_what_is_missing() {
    let Decision::Propose(proposal) = decide(&given(Status::Requested, &[Passed("TEA")]), late())
    else {
        panic!("the deadline is over")
    };
    let detail = &proposal.order().reasons[0].detail;
    assert_eq!(detail, "still missing at the deadline: inventory:MUG");
}

/// Holds the table above and the baton table together: each step of orders is proposed somewhere,
/// and nothing else is.
#[test]
fn orders_takes_every_step_that_it_owns_and_no_other() {
    let mut taken = BTreeSet::new();
    let facts = [Passed("TEA"), Passed("MUG"), Failed("TEA"), Cancellation];
    for status in Status::ALL {
        for bits in 0..1_usize << facts.len() {
            let known: Vec<_> =
                (0..facts.len()).filter(|i| bits >> i & 1 == 1).map(|i| facts[i]).collect();
            for at in [IN_TIME, late()] {
                if let Decision::Propose(proposal) = decide(&given(status, &known), at) {
                    let order = proposal.order();
                    taken.insert((status, order.transition, order.status));
                }
            }
        }
    }
    let ours = STEPS.iter().filter(|step| step.writer == ServiceName::Orders);
    let owned: BTreeSet<_> =
        ours.filter_map(|step| Some((step.from?, step.transition, step.to))).collect();
    assert_eq!(taken, owned);
}

/// What is known after `order`, which is the next transition.
fn read_back_as(entry: Entry, order: &Order, placed_at: Option<i64>) -> Entry {
    let input = order_transition::Input { order: order.clone().into(), placed_at };
    order_transition::evolve(entry, &order_transition::Decision::Advanced(input))
}

#[test]
fn an_order_forgets_its_outcomes_after_the_checks_and_all_but_itself_at_the_end() {
    let knows_all = |status| {
        let mut entry = given(status, &[Passed("TEA"), Cancellation]);
        entry.placed_at = Some(7);
        entry.outcomes.insert("foreign".into(), CheckOutcome::Passed);
        entry
    };
    let read_back = |from: Status, order: &Order| {
        let entry = read_back_as(knows_all(from), order, None);
        (entry.outcomes.len(), entry.cancellation.is_some(), entry.placed_at.is_some())
    };
    let order = order_at(Status::Requested, 1);
    assert_eq!(order.transition, TransitionKind::OrderRequested);
    let mut entry = knows_all(Status::Requested);
    entry.order = None;
    let entry = read_back_as(entry, &order, Some(3));
    assert_eq!((entry.outcomes.len(), entry.placed_at), (1, Some(3)), "foreign checks are dropped");
    for (from, to, left) in [
        (Status::Requested, Status::Validated, (0, true, true)),
        (Status::Validated, Status::Paid, (0, true, true)),
        (Status::Validated, Status::PaymentDeclined, (0, true, true)),
        (Status::Paid, Status::RefundDue, (0, false, false)),
        (Status::Paid, Status::Confirmed, (0, false, false)),
        (Status::Requested, Status::Rejected, (0, false, false)),
        (Status::Requested, Status::Cancelled, (0, false, false)),
        (Status::RefundDue, Status::Refunded, (0, false, false)),
    ] {
        assert_eq!(read_back(from, &order_at(to, 1)), left, "{from} to {to}");
    }
}
