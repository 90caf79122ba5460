//! The laws, one file per group.

mod agreement;
mod baton;
mod checks;
mod commands;
mod dead_letters;
mod ending;
mod mail;
mod money;
mod stock;
mod view;

use crate::{case::Case, history::History, law::Law, verdict::Findings};
use contracts::{Order, OrderId, Timestamp};

/// Look at everything.
pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    baton::check(case, findings);
    agreement::check(case, findings);
    ending::check(case, findings);
    checks::check(case, findings);
    commands::check(case, findings);
    stock::check(case, findings);
    money::check(case, findings);
    view::check(case, findings);
    mail::check(case, findings);
    dead_letters::check(case, findings);
}

/// Something that shows each order as it is now, such as a row of the view: it shows the order
/// after one of its transitions (`version`, which is `same` as there), and the next one is not
/// overdue.
fn copy(
    findings: &mut Findings<'_>,
    law: Law,
    order_id: OrderId,
    history: &History<'_>,
    version: Option<i64>,
    same: impl FnOnce(&Order) -> bool,
) {
    let Some(last) = history.last().map(|step| step.order.version) else {
        if history.is_cut {
            findings.unknown(law, order_id, "orders");
        }
        return;
    };
    let shown = version.and_then(|version| history.at(version));
    let next = history.after(version.unwrap_or(0));
    let since = next.map_or(NEVER, |step| step.record.timestamp);
    let first = history.steps.first().map_or(0, |step| step.order.version);
    let is_gone = history.is_cut && version.is_some_and(|version| version < first);
    let shown = if is_gone { Some(true) } else { shown.map(|step| same(step.order)) };
    match (version, shown) {
        (None, _) => findings.check(law, order_id, since, false, || {
            format!("it is missing, the log is at version {last}")
        }),
        (Some(version), None) => findings.check_now(law, order_id, false, || {
            format!("it shows version {version}, the log is at {last}")
        }),
        (Some(version), Some(false)) => findings.check_now(law, order_id, false, || {
            format!("what it shows is not version {version} of the log")
        }),
        (Some(version), Some(true)) => findings.check(law, order_id, since, next.is_none(), || {
            format!("it is at version {version}, the log at {last}")
        }),
    }
}

/// Something shows an order that the log does not have, or has no more.
fn stranger(
    case: &Case<'_>,
    findings: &mut Findings<'_>,
    law: Law,
    order_id: OrderId,
    what: impl FnOnce() -> String,
) {
    let gone = gone(!case.retained.is_whole("orders", &order_id.to_string()), "orders");
    findings.check_kept(law, order_id, NEVER, false, gone, || {
        format!("{}, but the log knows no such order", what())
    });
}

/// The topic, if what a rule needs of it may be gone.
fn gone(is_gone: bool, topic: &'static str) -> Option<&'static str> {
    is_gone.then_some(topic)
}

/// The later of two times.
fn later(a: Timestamp, b: Timestamp) -> Timestamp {
    a.max(b)
}

/// So long ago that no grace excuses it.
const NEVER: Timestamp = Timestamp(i64::MIN);
