//! Checks: the required checks of an order, and its next step, which follows from the set of their
//! outcomes. For each check the first outcome on `order-validations` counts.

use crate::{
    case::Case,
    evidence::Logged,
    history::{History, Step},
    law::Law,
    laws::gone,
    retained::{DEAD_LETTERS, home_of},
    verdict::Findings,
};
use contracts::{
    Order, OrderId, Reason, ServiceName, TransitionKind,
    inventory::{OrderValidation, Outcome},
    topics::ORDER_VALIDATIONS,
};
use std::collections::{BTreeMap, BTreeSet};

/// The first outcome of each check.
type Outcomes<'a> = BTreeMap<(OrderId, &'a str), &'a OrderValidation>;

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut outcomes = Outcomes::new();
    let is_refused = |record: &Logged<OrderValidation>| {
        case.dead_letters.has(&record.address("order-validations"), ServiceName::Orders)
    };
    let records = case.evidence.log.order_validations.iter();
    let heard = records.filter(|record| !is_refused(record));
    for validation in heard.filter_map(Logged::read) {
        outcomes.entry((validation.order_id, &validation.check)).or_insert(validation);
    }
    for (order_id, history) in &case.histories {
        if let Some(first) = history.steps.first() {
            findings.check_now(Law::Checks, *order_id, requires_all(first.order), || {
                format!("it requires {:?}, not one check per line", first.order.required_checks)
            });
            let (topic, since) = (ORDER_VALIDATIONS.name(), first.order.requested_at);
            let has_letters = case.has_letters_since(topic, since);
            let gone = match case.retained.has_since(topic, home_of(*order_id), since) {
                true => gone(!has_letters, DEAD_LETTERS),
                false => Some(topic),
            };
            follows(*order_id, history, &outcomes, gone, findings);
        }
    }
}

/// Whether there is a check for each line, and each check once.
fn requires_all(order: &Order) -> bool {
    let required: BTreeSet<&str> = order.required_checks.iter().map(String::as_str).collect();
    let of_lines = order.lines.iter().map(|line| format!("inventory:{}", line.sku));
    required.len() == order.required_checks.len()
        && of_lines.into_iter().all(|check| required.contains(check.as_str()))
}

fn follows(
    order_id: OrderId,
    history: &History<'_>,
    outcomes: &Outcomes<'_>,
    gone: Option<&'static str>,
    findings: &mut Findings<'_>,
) {
    if let Some(Step { record, order }) = history.find(TransitionKind::OrderValidated) {
        let passed = |check: &&String| {
            let outcome = outcomes.get(&(order_id, check.as_str()));
            outcome.is_some_and(|validation| validation.outcome == Outcome::Passed)
        };
        let missing: Vec<_> = order.required_checks.iter().filter(|c| !passed(c)).collect();
        let (at, holds) = (record.timestamp, missing.is_empty());
        findings.check_kept(Law::Checks, order_id, at, holds, gone, || {
            format!("it was validated, but these have not passed: {missing:?}")
        });
    }
    if let Some(Step { record, order }) = history.find(TransitionKind::OrderRejected) {
        let failed = |reason: &&Reason| {
            let known = order.required_checks.contains(&reason.check);
            let outcome = outcomes.get(&(order_id, reason.check.as_str()));
            known && outcome.is_some_and(|validation| is_reason(validation, reason))
        };
        let (founded, unfounded): (Vec<_>, Vec<_>) = order.reasons.iter().partition(failed);
        let holds = !founded.is_empty() && unfounded.is_empty();
        findings.check_kept(Law::Checks, order_id, record.timestamp, holds, gone, || {
            format!("it was rejected, but no failed check says {unfounded:?}")
        });
    }
}

fn is_reason(validation: &OrderValidation, reason: &Reason) -> bool {
    let OrderValidation { outcome, code, detail, .. } = validation;
    *outcome == Outcome::Failed && (code, detail) == (&reason.code, &reason.detail)
}
