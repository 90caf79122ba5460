//! The history of an order from all evidence, in the order of time.

use crate::evidence::{Evidence, Logged};
use contracts::{OrderId, Timestamp, inventory::StockEntry};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When it was written.
    pub at: Timestamp,
    /// Its place: `topic/partition/offset`, or a table.
    pub place: String,
    /// Its writer.
    pub who: String,
    /// What it says.
    pub what: String,
}

/// The stories of `orders`.
pub(crate) fn of(
    evidence: &Evidence,
    orders: &BTreeSet<OrderId>,
) -> BTreeMap<OrderId, Vec<Moment>> {
    let mut teller = Teller { orders, stories: BTreeMap::new() };
    if !orders.is_empty() {
        teller.read_log(evidence);
        teller.read_tables(evidence);
    }
    for story in teller.stories.values_mut() {
        story.sort_by_key(|moment| moment.at);
    }
    teller.stories
}

struct Teller<'a> {
    orders: &'a BTreeSet<OrderId>,
    stories: BTreeMap<OrderId, Vec<Moment>>,
}

impl Teller<'_> {
    fn tell(&mut self, order: Option<OrderId>, moment: impl FnOnce() -> Moment) {
        if let Some(order) = order.filter(|order| self.orders.contains(order)) {
            self.stories.entry(order).or_default().push(moment());
        }
    }

    fn topic<T>(&mut self, topic: &str, records: &[Logged<T>], what: impl Fn(&T) -> String) {
        for record in records {
            // A reservation has its order behind its sku.
            let id = record.key.rsplit('/').next().unwrap_or_default();
            self.tell(id.parse().ok(), || Moment {
                at: record.timestamp,
                place: record.address(topic),
                who: record.writer.clone().unwrap_or_else(|| "?".into()),
                what: match &record.value {
                    Ok(value) => what(value),
                    Err(error) => format!("cannot be read: {error}"),
                },
            });
        }
    }

    fn read_log(&mut self, evidence: &Evidence) {
        let log = &evidence.log;
        self.topic("orders.commands", &log.order_commands, |command| command.name().into());
        self.topic("orders", &log.orders, |order| {
            format!("{} -> {}, version {}", order.transition, order.status, order.version)
        });
        self.topic("orders.refusals", &log.order_refusals, |refusal| {
            let codes: Vec<_> = refusal.reasons.iter().map(|reason| &*reason.code).collect();
            format!("{} refused: {}", refusal.command, codes.join(", "))
        });
        self.topic("order-validations", &log.order_validations, |validation| {
            format!("{} {:?} ({})", validation.check, validation.outcome, validation.code)
        });
        self.topic("inventory.reservations", &log.reservations, |entry| match entry {
            StockEntry::Reservation(r) => format!("{} of {} {:?}", r.quantity, r.sku, r.state),
            StockEntry::RestockApplied(r) => format!("{} of {} added", r.quantity, r.sku),
        });
        self.topic("order-views", &log.order_views, |update| {
            format!("version {} can be seen", update.view_version)
        });
        self.topic("emails", &log.emails, |mail| {
            format!("{} mailed to {}", mail.kind.as_str(), mail.recipient)
        });
    }

    fn read_tables(&mut self, evidence: &Evidence) {
        for dead_letter in &evidence.dead_letters {
            let settled = if dead_letter.settled { "settled" } else { "waiting" };
            self.tell(dead_letter.key.parse().ok(), || Moment {
                at: dead_letter.timestamp,
                place: format!(
                    "{}.dlq/{}/{}",
                    dead_letter.service, dead_letter.partition, dead_letter.offset
                ),
                who: dead_letter.service.to_string(),
                what: format!(
                    "put aside {}: {} ({settled})",
                    dead_letter.origin, dead_letter.cause
                ),
            });
        }
        for entry in &evidence.payments.ledger {
            self.tell(Some(entry.order_id), || Moment {
                at: entry.at,
                place: "ledger".into(),
                who: "payments".into(),
                what: format!("{} {}: {}", entry.kind, entry.account, entry.amount),
            });
        }
        for entry in &evidence.bank {
            self.tell(entry.key.parse().ok(), || Moment {
                at: entry.at,
                place: "statement".into(),
                who: "bank".into(),
                what: format!("{} {}: {}", entry.kind, entry.charge_id, entry.amount),
            });
        }
        for mail in &evidence.mails {
            let order = mail.message_id.split('.').next().and_then(|id| id.parse().ok());
            self.tell(order, || Moment {
                at: mail.at,
                place: "mail".into(),
                who: "email".into(),
                what: format!("{} to {}", mail.message_id, mail.to),
            });
        }
    }
}
