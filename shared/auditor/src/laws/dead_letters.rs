//! Bad records: records that no service can read, dead letters that no operator has
//! settled, and records by a writer that does not own their topic.

use crate::{
    case::Case,
    dead_letters::readers,
    evidence::Logged,
    history::names,
    law::Law,
    verdict::{Findings, Subject},
};
use contracts::{
    ServiceName::{self, Email, Inventory, Orders, View},
    inventory::StockEntry,
    topics::{self, ORDER_VALIDATIONS},
};

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    poison(case, findings);
    owners(case, findings);
    for dead_letter in &case.evidence.dead_letters {
        findings.check_now(
            Law::DeadLetters,
            Subject::of_key(&dead_letter.key),
            dead_letter.settled,
            || {
                let id = format!(
                    "{}/{}/{}",
                    dead_letter.service, dead_letter.partition, dead_letter.offset
                );
                format!("{id} waits: {} ({})", dead_letter.cause, dead_letter.origin)
            },
        );
    }
}

fn poison(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let mut on = Reading { case, findings };
    on.topic("orders", &log.orders, |o| text(o.order_id));
    on.topic("orders.commands", &log.order_commands, |c| text(c.order_id()));
    on.topic("orders.refusals", &log.order_refusals, |r| text(r.order_id));
    on.topic("order-validations", &log.order_validations, |v| text(v.order_id));
    on.topic("inventory.commands", &log.inventory_commands, |c| text(c.sku()));
    on.topic("stock", &log.stock, |level| text(&level.sku));
    on.topic("catalog.products", &log.catalog_products, |_| None);
    on.topic("order-views", &log.order_views, |update| text(update.order_id));
    on.topic("orders.latest", &log.orders_latest, |order| text(order.order_id));
    on.topic("inventory.reservations", &log.reservations, |entry| match entry {
        StockEntry::Reservation(held) => text(format!("{}/{}", held.sku, held.order_id)),
        StockEntry::RestockApplied(added) => text(format!("{}/{}", added.sku, added.command_id)),
    });
    on.topic("emails", &log.emails, |mail| text(mail.order_id));
}

struct Reading<'a, 'e, 'f> {
    case: &'a Case<'e>,
    findings: &'a mut Findings<'f>,
}

impl Reading<'_, '_, '_> {
    /// Every record of `topic` can be read and has the key that its content says, or is put aside
    /// by all `readers`.
    fn topic<T>(
        &mut self,
        topic: &str,
        records: &[Logged<T>],
        key_of: impl Fn(&T) -> Option<String>,
    ) {
        let readers = readers(topic);
        for record in records {
            let fault = match &record.value {
                Err(cause) => Some(cause.clone()),
                Ok(value) => key_of(value)
                    .filter(|key| *key != record.key)
                    .map(|key| format!("the key is {}, the content is about {key}", record.key)),
            };
            let address = record.address(topic);
            let has_dead_letter =
                |service: &ServiceName| self.case.dead_letters.has(&address, *service);
            let taken_by: Vec<_> =
                readers.iter().copied().filter(|r| !has_dead_letter(r)).collect();
            // Dead letters that are gone prove nothing any more.
            let is_proved = self.case.is_kept(topics::dlq(Orders), record.timestamp);
            let put_aside = taken_by.is_empty() && !readers.is_empty() || !is_proved;
            let holds = fault.is_none() || put_aside;
            let subject = Subject::of_key(&record.key);
            self.findings.check(Law::Poison, subject, record.timestamp, holds, || {
                let fault = fault.unwrap_or_default();
                match names(&taken_by).as_str() {
                    "" => format!("{address}: {fault}; nobody puts this aside"),
                    names => format!("{address}: {fault}; not put aside by {names}"),
                }
            });
        }
    }

    fn owner<T>(&mut self, topic: &str, owner: ServiceName, records: &[Logged<T>]) {
        self.owners(topic, records, owner.as_str(), |_, writer| writer == owner.as_str());
    }

    /// A service that `may` write it wrote every record of `topic`, or the record is a dead letter.
    fn owners<T>(
        &mut self,
        topic: &str,
        records: &[Logged<T>],
        expected: &str,
        may: impl Fn(&T, &str) -> bool,
    ) {
        for record in records {
            let Some(value) = record.read() else { continue };
            let address = record.address(topic);
            let writer = record.writer.as_deref();
            let holds = writer.is_some_and(|writer| may(value, writer))
                || self.case.dead_letters.has_any(&address);
            let subject = Subject::of_key(&record.key);
            self.findings.check(Law::Owners, subject, record.timestamp, holds, || {
                format!("{address} was written by {}, not {expected}", writer.unwrap_or("nobody"))
            });
        }
    }
}

/// Whether `writer` may tell the outcome of `check`: inventory those of its lines, and each other
/// validator those that are not inventory's.
fn tells(check: &str, writer: &str) -> bool {
    let is_inventory = writer == Inventory.as_str();
    match check.starts_with("inventory:") {
        true => is_inventory,
        false => !is_inventory && ORDER_VALIDATIONS.spec.writers.includes(writer),
    }
}

fn text(key: impl ToString) -> Option<String> {
    Some(key.to_string())
}

/// A copy on `orders.latest` keeps the headers of its transition, so it does not name its own
/// writer.
fn owners(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let mut on = Reading { case, findings };
    on.owner("orders.refusals", Orders, &log.order_refusals);
    let expected = "the validator of this check";
    on.owners("order-validations", &log.order_validations, expected, |outcome, writer| {
        tells(&outcome.check, writer)
    });
    on.owner("stock", Inventory, &log.stock);
    on.owner("inventory.reservations", Inventory, &log.reservations);
    on.owner("order-views", View, &log.order_views);
    on.owner("emails", Email, &log.emails);
}
