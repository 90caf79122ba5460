//! What could not be handled: records that nobody can read, letters that nobody has settled, and
//! records by someone who is not their topic's writer.

use crate::{
    case::Case,
    evidence::Logged,
    history::names,
    law::Law,
    verdict::{Findings, Subject},
};
use contracts::{
    ServiceName::{self, Email, Inventory, Orders, Payments, View},
    inventory::StockEntry,
    topics,
};

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    poison(case, findings);
    owners(case, findings);
    for letter in &case.evidence.letters {
        findings.check_now(Law::Letters, Subject::of_key(&letter.key), letter.settled, || {
            let id = format!("{}/{}/{}", letter.service, letter.partition, letter.offset);
            format!("{id} waits: {} ({})", letter.cause, letter.origin)
        });
    }
}

/// Each topic with those who put aside what they cannot read on it. Who only follows a topic for
/// clients that wait, or reads its own changelog back, is not among them.
fn poison(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let mut on = Reading { case, findings };
    on.topic("orders", &[Orders, Inventory, Payments, View], &log.orders, |o| text(o.order_id));
    on.topic("orders.commands", &[Orders], &log.order_commands, |c| text(c.order_id()));
    on.topic("orders.refusals", &[View], &log.order_refusals, |r| text(r.order_id));
    on.topic("order-validations", &[Orders], &log.order_validations, |v| text(v.order_id));
    on.topic("inventory.commands", &[Inventory], &log.inventory_commands, |c| text(c.sku()));
    on.topic("stock", &[View], &log.stock, |level| text(&level.sku));
    on.topic("catalog.products", &[Orders, Inventory, View], &log.catalog_products, |_| None);
    on.topic("order-views", &[Email], &log.order_views, |update| text(update.order_id));
    // Nobody else reads these, so whatever else is on them is never put aside.
    on.topic("orders.latest", &[], &log.orders_latest, |order| text(order.order_id));
    on.topic("inventory.reservations", &[], &log.reservations, |entry| match entry {
        StockEntry::Reservation(held) => text(format!("{}/{}", held.sku, held.order_id)),
        StockEntry::RestockApplied(added) => text(format!("{}/{}", added.sku, added.command_id)),
    });
    on.topic("emails", &[], &log.emails, |mail| text(mail.order_id));
}

struct Reading<'a, 'e, 'f> {
    case: &'a Case<'e>,
    findings: &'a mut Findings<'f>,
}

impl Reading<'_, '_, '_> {
    /// Every record of `topic` can be read and has the key that its content says, or is put aside by
    /// all `readers`.
    fn topic<T>(
        &mut self,
        topic: &str,
        readers: &[ServiceName],
        records: &[Logged<T>],
        key_of: impl Fn(&T) -> Option<String>,
    ) {
        for record in records {
            let fault = match &record.value {
                Err(cause) => Some(cause.clone()),
                Ok(value) => key_of(value)
                    .filter(|key| *key != record.key)
                    .map(|key| format!("the key is {}, the content is about {key}", record.key)),
            };
            let address = record.address(topic);
            let has_letter = |service: &ServiceName| self.case.letters.has(&address, *service);
            let taken_by: Vec<_> = readers.iter().copied().filter(|r| !has_letter(r)).collect();
            // Letters that are gone prove nothing any more.
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
        for record in records.iter().filter(|record| record.value.is_ok()) {
            let address = record.address(topic);
            let writer = record.writer.as_deref();
            let holds = writer == Some(owner.as_str()) || self.case.letters.has_any(&address);
            self.findings.check(
                Law::Owners,
                Subject::of_key(&record.key),
                record.timestamp,
                holds,
                || format!("{address} was written by {}, not {owner}", writer.unwrap_or("nobody")),
            );
        }
    }
}

fn text(key: impl ToString) -> Option<String> {
    Some(key.to_string())
}

/// A copy on `orders.latest` keeps the headers of its transition, so it does not name its own writer.
fn owners(case: &Case<'_>, findings: &mut Findings<'_>) {
    let log = &case.evidence.log;
    let mut on = Reading { case, findings };
    on.owner("orders.refusals", Orders, &log.order_refusals);
    on.owner("order-validations", Inventory, &log.order_validations);
    on.owner("stock", Inventory, &log.stock);
    on.owner("inventory.reservations", Inventory, &log.reservations);
    on.owner("order-views", View, &log.order_views);
    on.owner("emails", Email, &log.emails);
}
