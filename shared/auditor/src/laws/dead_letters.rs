//! Bad records: records that no service can read, dead letters that no operator has
//! settled, and records by a writer that does not own their topic.

use crate::{
    case::Case,
    dead_letters::readers,
    evidence::{DeadLetter, Logged, Original},
    history::names,
    law::Law,
    laws::gone,
    retained::DEAD_LETTERS,
    verdict::{Findings, Subject},
};
use contracts::{
    ServiceName::{self, Email, Inventory, Orders, View},
    inventory::StockEntry,
    topics::ORDER_VALIDATIONS,
};

/// A SHA-256 in hexadecimal digits.
const SHA256_DIGITS: usize = 64;

pub(crate) fn check(case: &Case<'_>, findings: &mut Findings<'_>) {
    poison(case, findings);
    owners(case, findings);
    for letter in &case.evidence.dead_letters {
        let subject = || Subject::of_key(&letter.key);
        let id = || format!("{}/{}/{}", letter.service, letter.partition, letter.offset);
        findings.check_now(Law::DeadLetters, subject(), letter.settled, || {
            format!("{} waits: {} ({})", id(), letter.cause, letter.origin)
        });
        findings.check_now(Law::Letters, subject(), is_all_there(case, letter), || {
            let DeadLetter { origin, value_bytes, cut, original, .. } = letter;
            let id = id();
            format!("{id} has {value_bytes} bytes of {origin}, says {cut:?}, and is {original:?}")
        });
    }
}

/// Whether nothing of the letter's record is lost without a trace.
fn is_all_there(case: &Case<'_>, letter: &DeadLetter) -> bool {
    // If the topic was made again, another record may have the address.
    let is_it = |original: &&Original| original.timestamp <= letter.timestamp + case.evidence.grace;
    match (&letter.cut, letter.original.as_ref().filter(is_it)) {
        (Some(cut), Some(original)) => *cut == original.whole,
        (Some(cut), None) => cut.bytes > 0 && cut.sha256.len() == SHA256_DIGITS,
        (None, Some(original)) => letter.value_bytes == original.value_bytes,
        (None, None) => true,
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
    on.topic("emails.waiting", &log.emails_waiting, |_| None);
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
            // What no service handles, an operator puts aside.
            let put_aside = match readers.is_empty() {
                true => self.case.dead_letters.has_any(&address),
                false => taken_by.is_empty(),
            };
            let holds = fault.is_none() || put_aside;
            let (at, subject) = (record.timestamp, Subject::of_key(&record.key));
            let gone = gone(!self.case.has_letters_since(topic, at), DEAD_LETTERS);
            self.findings.check_kept(Law::Poison, subject, at, holds, gone, || {
                let fault = fault.unwrap_or_default();
                match names(&taken_by).as_str() {
                    "" => format!("{address}: {fault}; `shop dlq pass` puts this aside"),
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
            let (at, subject) = (record.timestamp, Subject::of_key(&record.key));
            let gone = gone(!self.case.has_letters_since(topic, at), DEAD_LETTERS);
            self.findings.check_kept(Law::Owners, subject, at, holds, gone, || {
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
