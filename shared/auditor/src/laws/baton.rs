//! The writer and the order of transitions: the log of `orders` by itself, and its last states.

use crate::{
    case::Case,
    evidence::Logged,
    history::{History, Outcast, Step, names},
    law::Law,
    laws::{copy, gone},
    retained::DEAD_LETTERS,
    verdict::{Findings, Subject},
};
use contracts::{Order, OrderId, OrderLine, PaymentStatus, TransitionKind};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut refused = 0;
    for (order_id, history) in &case.histories {
        steps(case, *order_id, history, findings);
        refused += outcasts(*order_id, history, findings);
        for pair in history.steps.windows(2) {
            let fault = changed(pair[0].order, pair[1].order);
            whole(*order_id, pair[1], fault, findings);
        }
        match history.first() {
            Some(first) => whole(*order_id, first, opened(first.order), findings),
            None if history.is_cut => findings.unknown(Law::WholeOrder, *order_id, "orders"),
            None => {}
        }
    }
    if refused > 0 {
        findings.remark(format!(
            "{refused} records on orders are no transitions; all readers refused them"
        ));
    }
    let repeated: usize = case.histories.values().map(|history| history.repeated.len()).sum();
    if repeated > 0 {
        findings
            .remark(format!("{repeated} transitions were written twice, with the same content"));
    }
    latest(case, findings);
}

/// The steps of the history were judged when it was folded: each has passed these.
///
/// A reader that has put one of them aside knows less of the order than its writer thinks, until it
/// takes the same from a replay.
fn steps(case: &Case<'_>, order_id: OrderId, history: &History<'_>, findings: &mut Findings<'_>) {
    for step in &history.steps {
        let address = step.record.address("orders");
        let mut refused_by = case.dead_letters.of(&address);
        let again = history.repeated.iter().filter(|again| again.order == step.order);
        for again in again {
            let address = again.record.address("orders");
            refused_by.retain(|reader| case.dead_letters.has(&address, *reader));
        }
        let refused_by: Vec<_> = refused_by.into_iter().collect();
        let is_known = case.has_letters_since("orders", step.record.timestamp);
        match refused_by.is_empty() && !is_known {
            true => findings.unknown(Law::Understood, order_id, DEAD_LETTERS),
            false => findings.check_now(Law::Understood, order_id, refused_by.is_empty(), || {
                format!("{address} is a transition, but {} put it aside", names(&refused_by))
            }),
        }
        for law in [Law::Baton, Law::Versions, Law::Terminal] {
            findings.check_now(law, order_id, true, String::new);
        }
    }
}

/// A record that is no step breaks a law, unless every reader that would act upon it refused it.
/// Returns the number refused.
fn outcasts(order_id: OrderId, history: &History<'_>, findings: &mut Findings<'_>) -> usize {
    let mut refused = 0;
    for Outcast { record, law, why, refusals } in &history.outcasts {
        refused += usize::from(refusals.is_refused());
        let gone = gone(refusals.taken_by.is_empty(), DEAD_LETTERS);
        let (at, holds) = (record.timestamp, refusals.is_refused());
        findings.check_kept(*law, order_id, at, holds, gone, || {
            let (address, taken_by) = (record.address("orders"), names(&refusals.taken_by));
            format!("{address}: {why}; not refused by {taken_by}")
        });
    }
    refused
}

fn whole(
    order_id: OrderId,
    step: Step<'_>,
    fault: Option<&'static str>,
    findings: &mut Findings<'_>,
) {
    findings.check_now(Law::WholeOrder, order_id, fault.is_none(), || {
        let fault = fault.unwrap_or_default();
        format!("{}: version {} {fault}", step.record.address("orders"), step.order.version)
    });
}

/// What is wrong with an order that begins, if anything is.
fn opened(order: &Order) -> Option<&'static str> {
    let total: i64 = order.lines.iter().map(OrderLine::total_minor).sum();
    let faults = [
        (order.lines.is_empty(), "has no lines"),
        (order.total.amount_minor != total, "has a total that is not the sum of its lines"),
        (order.payment.is_some(), "begins with a payment"),
        (!order.reasons.is_empty(), "begins with reasons"),
        (order.requested_at != order.occurred_at, "began at another time than it happened"),
        (order.deadline < order.requested_at, "has a deadline before its beginning"),
    ];
    first_of(&faults)
}

/// What a transition changed that it may not change, if anything.
fn changed(before: &Order, after: &Order) -> Option<&'static str> {
    let kept = after.reasons.starts_with(&before.reasons);
    let faults = [
        (after.customer != before.customer, "has another customer"),
        (after.lines != before.lines, "has other lines"),
        (after.total != before.total, "has another total"),
        (after.required_checks != before.required_checks, "has other checks"),
        (after.note != before.note, "has another note"),
        (after.placed_by != before.placed_by, "comes from another command"),
        (after.requested_at != before.requested_at, "was requested at another time"),
        (after.deadline != before.deadline, "has another deadline"),
        (!kept, "has lost reasons"),
        (!pays(before, after), "has a payment section that does not follow"),
    ];
    first_of(&faults)
}

/// Whether the payment section is the one that the transition brings, or the one from before.
fn pays(before: &Order, after: &Order) -> bool {
    let Some(payment) = &after.payment else {
        return before.payment.is_none() && !brings_payment(after.transition);
    };
    let expected = match after.transition {
        TransitionKind::PaymentReceived => PaymentStatus::Captured,
        TransitionKind::PaymentDeclined => PaymentStatus::Declined,
        TransitionKind::PaymentRefunded => PaymentStatus::Refunded,
        _ => return before.payment == after.payment,
    };
    let known = before.payment.as_ref().and_then(|payment| payment.reference.as_ref());
    let reference = match expected {
        PaymentStatus::Captured => payment.reference.is_some(),
        PaymentStatus::Declined => payment.reference.is_none(),
        PaymentStatus::Refunded => payment.reference.as_ref() == known,
    };
    payment.status == expected && payment.amount == after.total && reference
}

fn brings_payment(transition: TransitionKind) -> bool {
    use TransitionKind::{PaymentDeclined, PaymentReceived, PaymentRefunded};
    matches!(transition, PaymentReceived | PaymentDeclined | PaymentRefunded)
}

fn first_of(faults: &[(bool, &'static str)]) -> Option<&'static str> {
    faults.iter().find(|(found, _)| *found).map(|(_, fault)| *fault)
}

/// `orders.latest`: for each order the last state, and never a step back.
fn latest(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut latest: BTreeMap<&str, &Logged<Arc<Order>>> = BTreeMap::new();
    for record in &case.evidence.log.orders_latest {
        let Some(order) = record.read() else { continue };
        let known = latest.insert(&record.key, record).and_then(Logged::read);
        let forward = known.is_none_or(|known| known.version <= order.version);
        findings.check_now(Law::Latest, Subject::of_key(&record.key), forward, || {
            format!("{} goes back to version {}", record.address("orders.latest"), order.version)
        });
    }
    for (order_id, history) in &case.histories {
        let found = latest.remove(order_id.to_string().as_str()).and_then(Logged::read);
        let found = found.map(Arc::as_ref);
        let version = found.map(|order| order.version);
        copy(findings, Law::Latest, *order_id, history, version, |order| found == Some(order));
    }
    for (key, record) in latest {
        let gone = gone(!case.retained.is_whole("orders", key), "orders");
        let subject = Subject::of_key(key);
        findings.check_kept(Law::Latest, subject, record.timestamp, false, gone, || {
            format!("{} is of an order that is not in the log", record.address("orders.latest"))
        });
    }
}
