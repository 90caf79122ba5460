//! Every metric of the shop as a table: the runtime's, which each service has, and those of single
//! services. `docs/operating.md` shows it; the services measure by these rows.

use crate::ServiceName;
use std::fmt::Write as _;
use streams::meter::{Metric, PROCESS, RUNTIME};

/// Upper bounds for calls to other systems, in seconds.
const CALL_BOUNDS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A metric and the one service that has it.
pub type Row = (ServiceName, &'static Metric);

/// Transitions of orders.
pub static TRANSITIONS: Metric = Metric::counter(
    "orders.transitions",
    "{order}",
    &["status", "reason"],
    "Orders that came to a status, and why, where it is a way out; of others' reasons `other`",
);
/// Open orders.
pub static OPEN_ORDERS: Metric = Metric::gauge(
    "orders.open",
    "{order}",
    &["status"],
    "Orders that have not ended, by status: those of this instance's partitions, 20000 at most of \
     each",
);
/// The oldest open order.
pub static OLDEST_ORDER: Metric = Metric::gauge(
    "orders.open.oldest",
    "s",
    &[],
    "Age of the oldest order that has not ended; 0 without one",
);
/// The oldest baton.
pub static OLDEST_BATON: Metric = Metric::gauge(
    "orders.baton.oldest",
    "s",
    &["holder"],
    "For how long the service that holds the baton has held that of one order, at the longest",
);
/// Overdue orders.
pub static OVERDUE: Metric = Metric::gauge(
    "orders.overdue",
    "{order}",
    &[],
    "Orders that have not ended although their deadline has passed, refunds excepted",
);
/// Orders refused at the edge.
pub static EDGE_REFUSED: Metric = Metric::counter(
    "orders.edge.refused",
    "{order}",
    &["behind"],
    "Orders that were refused with 503 because too many wait for a step (shown, checked, paid, \
     closed), or too many are being placed (in_flight)",
);
/// Accepted orders by the step that they wait for.
pub static EDGE_WAITING: Metric = Metric::gauge(
    "orders.edge.waiting",
    "{order}",
    &["step"],
    "Orders that this instance has accepted, by the step that they wait for",
);
/// How many may wait.
pub static EDGE_LIMIT: Metric = Metric::gauge(
    "orders.edge.limit",
    "{order}",
    &["step"],
    "So many orders may wait for a step, which is crowded; missing while it is not",
);
/// How long they wait.
pub static STEP_WAIT: Metric = Metric::seconds(
    "orders.step.wait.duration",
    CALL_BOUNDS_S,
    &["step"],
    "How long an order that this instance has accepted waited for a step, as announced by the view",
);
/// Staleness.
pub static STALENESS: Metric = Metric::gauge(
    "view.staleness",
    "s",
    &["view"],
    "How far each view is behind the log, by its slowest partition: the same for all that are \
     served, as a batch is written into all together",
);
/// Messages on their way.
pub static OUTBOX: Metric = Metric::gauge(
    "payments.outbox.unreturned",
    "{message}",
    &[],
    "Messages of the outbox that have not come back on `orders`",
);
/// Their age.
pub static OUTBOX_AGE: Metric = Metric::gauge(
    "payments.outbox.oldest",
    "s",
    &[],
    "Age of the first message that has not come back; 0 without one",
);
/// Slots.
pub static SLOT: Metric = Metric::gauge(
    "payments.slot.retained",
    "By",
    &["slot"],
    "Write-ahead log that Postgres keeps for a replication slot, as at the last scrape",
);
/// Whether slots are valid.
pub static SLOT_VALID: Metric = Metric::gauge(
    "payments.slot.valid",
    "{slot}",
    &["slot"],
    "1 if a replication slot can be read from, 0 if it is missing or lost",
);
/// Calls to the bank.
pub static BANK_CALLS: Metric = Metric::counter(
    "payments.bank.calls",
    "{call}",
    &["task", "outcome"],
    "Calls to the bank: charge, void, refund; done, declined, refused, voided, unknown",
);
/// How long they took.
pub static BANK_SECONDS: Metric = Metric::seconds(
    "payments.bank.call.duration",
    CALL_BOUNDS_S,
    &["task"],
    "How long the bank took to answer",
);
/// Mails.
pub static MAILS: Metric = Metric::counter(
    "email.mails",
    "{mail}",
    &["outcome"],
    "Attempts to hand a mail to the server: accepted, refused, doubtful, under_way, permanent, \
     outage",
);
/// How long the mail server took.
pub static MAIL_SECONDS: Metric = Metric::seconds(
    "email.delivery.duration",
    CALL_BOUNDS_S,
    &[],
    "How long one attempt at a mail held up the loop",
);

/// The metrics of single services.
pub static OF_SERVICES: &[Row] = &[
    (ServiceName::Orders, &TRANSITIONS),
    (ServiceName::Orders, &OPEN_ORDERS),
    (ServiceName::Orders, &OLDEST_ORDER),
    (ServiceName::Orders, &OLDEST_BATON),
    (ServiceName::Orders, &OVERDUE),
    (ServiceName::Orders, &EDGE_REFUSED),
    (ServiceName::Orders, &EDGE_WAITING),
    (ServiceName::Orders, &EDGE_LIMIT),
    (ServiceName::Orders, &STEP_WAIT),
    (ServiceName::Payments, &OUTBOX),
    (ServiceName::Payments, &OUTBOX_AGE),
    (ServiceName::Payments, &SLOT),
    (ServiceName::Payments, &SLOT_VALID),
    (ServiceName::Payments, &BANK_CALLS),
    (ServiceName::Payments, &BANK_SECONDS),
    (ServiceName::Email, &MAILS),
    (ServiceName::Email, &MAIL_SECONDS),
    (ServiceName::View, &STALENESS),
];

/// The names on `/metrics` that `service` may show.
pub fn names(service: ServiceName) -> Vec<String> {
    let own = OF_SERVICES.iter().filter(|(owner, _)| *owner == service).map(|(_, metric)| *metric);
    let all = RUNTIME.iter().copied().chain(own).map(Metric::prometheus_name);
    all.chain(PROCESS.iter().map(|(name, ..)| (*name).to_owned())).collect()
}

/// The metrics in `text`, as a service shows it, that have no row for `service`.
pub fn strangers(service: ServiceName, text: &str) -> Vec<String> {
    let known = names(service);
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told = told.filter_map(|line| line.split(' ').next());
    told.filter(|name| !known.iter().any(|known| known == name)).map(ToOwned::to_owned).collect()
}

/// The whole table for people, in Markdown.
pub fn table() -> String {
    let mut text =
        String::from("| metric | kind | labels | of | what |\n| --- | --- | --- | --- | --- |\n");
    let all = RUNTIME.iter().map(|metric| ("all", *metric));
    let own = OF_SERVICES.iter().map(|(service, metric)| (service.as_str(), *metric));
    for (of, metric) in all.chain(own) {
        let (name, kind) = (metric.prometheus_name(), metric.prometheus_kind());
        let label = |label: &&str| format!("`{}`", label.replace('.', "_"));
        let labels = metric.labels.iter().map(label).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {of} | {} |", metric.help);
    }
    for (name, kind, help) in PROCESS {
        let _ = writeln!(text, "| `{name}` | {kind} | | all | {help} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_stands_once_and_begins_with_its_service() {
        for service in ServiceName::ALL {
            let names = names(service);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{service}");
        }
        for (service, metric) in OF_SERVICES {
            assert!(metric.name.starts_with(service.as_str()), "{metric:?}");
            assert!(!metric.help.ends_with('.') && !metric.help.contains('|'), "{metric:?}");
        }
    }

    #[test]
    fn no_label_is_an_id() {
        let all = RUNTIME.iter().copied().chain(OF_SERVICES.iter().map(|(_, metric)| *metric));
        for label in all.flat_map(|metric| metric.labels) {
            assert!(!label.ends_with("id") && !label.contains("key"), "{label}");
        }
    }

    #[test]
    fn what_has_no_row_is_a_stranger() {
        let text = "# TYPE view_staleness_seconds gauge\n# TYPE odd gauge\nodd 1\n";
        assert_eq!(strangers(ServiceName::View, text), ["odd"]);
        assert_eq!(strangers(ServiceName::Orders, text), ["view_staleness_seconds", "odd"]);
    }
}
