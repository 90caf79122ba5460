//! Every order ends, in time and with a reason.

use crate::{
    case::Case,
    history::{History, Step},
    law::Law,
    verdict::Findings,
};
use contracts::{OrderId, Status, TransitionKind};
use std::time::Duration;

/// Stamps are cut to milliseconds, and a broker's clock is set now and then.
const TOLERANCE: Duration = Duration::from_secs(1);

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    let mut late = 0;
    for (order_id, history) in &case.histories {
        deadline(*order_id, history, findings);
        in_time(*order_id, history, findings);
        if let Some(end) = history.end() {
            reasons(*order_id, end, findings);
            let allowed = end.order.deadline + case.evidence.grace;
            late += usize::from(end.order.occurred_at > allowed);
        }
    }
    if late > 0 {
        findings.remark(format!("{late} orders ended later than their deadline and the grace"));
    }
}

fn deadline(order_id: OrderId, history: &History<'_>, findings: &mut Findings<'_>) {
    use TransitionKind::{OrderValidated, PaymentReceived};
    for Step { order, .. } in &history.steps {
        if [OrderValidated, PaymentReceived].contains(&order.transition) {
            let in_time = order.occurred_at < order.deadline;
            findings.check_now(Law::Deadline, order_id, in_time, || {
                let late = order.occurred_at - order.deadline;
                format!("{} came {late:?} after the deadline", order.transition)
            });
        }
    }
    let Some(Step { order, .. }) = history.last() else { return };
    let ended = history.end().is_some();
    findings.check(Law::Deadline, order_id, order.deadline, ended, || {
        format!("it is still {}, version {}", order.status, order.version)
    });
}

/// A service that ends an order for its deadline may go by no clock that is ahead of the log's,
/// which has stamped the record.
fn in_time(order_id: OrderId, history: &History<'_>, findings: &mut Findings<'_>) {
    for pair in history.steps.windows(2) {
        let ([before, after], record) = ([pair[0].order, pair[1].order], pair[1].record);
        let added = after.reasons.iter().skip(before.reasons.len());
        if added.into_iter().any(|reason| reason.check == "deadline") {
            let holds = record.timestamp + TOLERANCE >= after.deadline;
            findings.check_now(Law::InTime, order_id, holds, || {
                let (early, address) =
                    (after.deadline - record.timestamp, record.address("orders"));
                format!("{address}: {} came {early:?} before the deadline", after.transition)
            });
        }
    }
}

fn reasons(order_id: OrderId, end: Step<'_>, findings: &mut Findings<'_>) {
    let order = end.order;
    let speaks = order.reasons.iter().all(|r| !r.check.is_empty() && !r.code.is_empty());
    let holds = speaks && (order.status == Status::Confirmed) == order.reasons.is_empty();
    findings.check_now(Law::Reasons, order_id, holds, || {
        format!("it is {} with the reasons {:?}", order.status, order.reasons)
    });
}
