//! What the auditor gets to see: everything, as an observer from outside would find it.

use crate::shop::Shop;
use auditor::{
    Announcement, DeadLetter, Evidence, LedgerEntry, Log, Logged, Original, PaymentRow, Payments,
    Whole,
};
use contracts::{
    Money, ServiceName, Timestamp,
    avro::Message,
    order::LatestOrder,
    topics::{
        EMAILS, EMAILS_WAITING, INVENTORY_COMMANDS, ORDER_COMMANDS, ORDER_REFUSALS,
        ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS, ORDERS_LATEST, PRODUCTS, RESERVATIONS, STOCK,
        Topic, dlq,
    },
};
use payments::{domain::Booking, memory::Tables};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use streams::{Record, record::names, tx::dlq_names};
use streams_sim::Sim;

/// Longest way of an effect, once nothing goes wrong any more.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Everything that can be seen of the shop, in which an effect may take as long as `grace`.
pub(crate) fn take(sim: &Sim, shop: &Shop, grace: Duration) -> Evidence {
    let written = shop.effects.written();
    Evidence {
        taken_at: sim.now,
        grace,
        log: Log {
            orders: logged(sim, &ORDERS, Arc::new),
            orders_latest: logged(sim, &ORDERS_LATEST, |LatestOrder(order)| Arc::new(order)),
            order_commands: logged(sim, &ORDER_COMMANDS, |command| command),
            order_refusals: logged(sim, &ORDER_REFUSALS, |refusal| refusal),
            order_validations: logged(sim, &ORDER_VALIDATIONS, |validation| validation),
            inventory_commands: logged(sim, &INVENTORY_COMMANDS, |command| command),
            stock: logged(sim, &STOCK, |level| level),
            reservations: logged(sim, &RESERVATIONS, |entry| entry),
            catalog_products: logged(sim, &PRODUCTS, Some),
            order_views: logged(sim, &ORDER_VIEWS, |update| Announcement {
                order_id: update.order_id,
                view_version: update.view_version,
                order: Arc::new(update.order),
            }),
            emails: logged(sim, &EMAILS, |mail| mail),
            emails_waiting: logged(sim, &EMAILS_WAITING, |mail| mail),
        },
        log_starts: log_starts(sim),
        dead_letters: ServiceName::ALL
            .into_iter()
            .flat_map(|service| dead_letters(sim, shop, service))
            .collect(),
        payments: payments(&shop.payments),
        bank: shop.bank.statement(),
        mails: written.mails.clone(),
        mails_since: Timestamp::default(),
        view: written.rows.evidence(),
    }
}

/// Where the topic begins that a fault deletes records of.
fn log_starts(sim: &Sim) -> BTreeMap<(String, i32), i64> {
    let name = ORDER_VIEWS.name();
    let cut = sim.kafka.begins(name).into_iter().filter(|(_, begin)| *begin > 0);
    cut.map(|(partition, begin)| ((name.to_owned(), partition), begin)).collect()
}

/// When the last of the mails that wait for another attempt is due.
pub(crate) fn last_mail_due(sim: &Sim) -> Option<Timestamp> {
    let records = logged(sim, &EMAILS_WAITING, |mail| mail);
    let mails = records.iter().filter_map(Logged::read);
    let latest: BTreeMap<_, _> = mails.map(|mail| (mail.order_id, &mail.waiting)).collect();
    latest.into_values().flatten().map(|waiting| waiting.next_at).max()
}

fn logged<K, V: Message, T>(
    sim: &Sim,
    topic: &Topic<K, V>,
    value: impl Fn(V) -> T,
) -> Vec<Logged<T>> {
    let read = |record: &Record| {
        let header = |name| record.headers.get(name).map(str::to_owned);
        let bytes = record.value.as_deref().unwrap_or_default();
        Logged {
            partition: record.partition,
            offset: record.offset,
            timestamp: Timestamp(record.timestamp_ms),
            key: text(record.key.as_deref()),
            writer: header(names::SOURCE),
            lineage: header(names::LINEAGE),
            causation: header(names::CAUSATION_ID),
            value: sim.codec.decode(topic, bytes).map(&value).map_err(|e| e.to_string()),
        }
    };
    sim.kafka.committed(topic.name()).into_iter().map(read).collect()
}

fn dead_letters(sim: &Sim, shop: &Shop, service: ServiceName) -> Vec<DeadLetter> {
    let read = |record: &Record| {
        let header = |name| record.headers.get(name).unwrap_or_default().to_owned();
        let place = [dlq_names::TOPIC, dlq_names::PARTITION, dlq_names::OFFSET].map(header);
        let at = |one: &&Record| one.address() == place.join("/");
        let cut = record.headers.get(dlq_names::BYTES).map(|bytes| Whole {
            bytes: bytes.parse().unwrap_or_default(),
            sha256: header(dlq_names::SHA256),
        });
        DeadLetter {
            service,
            partition: record.partition,
            offset: record.offset,
            timestamp: Timestamp(record.timestamp_ms),
            key: text(record.key.as_deref()),
            settled: shop.customers.garbage.contains(&place.join("/")),
            replayed: false,
            value_bytes: record.value.as_ref().map_or(0, Vec::len),
            cut,
            original: sim.kafka.committed(&place[0]).into_iter().find(at).map(original),
            origin: place.join("/"),
            cause: header(dlq_names::CAUSE),
        }
    };
    sim.kafka.committed(dlq(service).name).into_iter().map(read).collect()
}

fn original(record: &Record) -> Original {
    Original {
        timestamp: Timestamp(record.timestamp_ms),
        value_bytes: record.value.as_ref().map_or(0, Vec::len),
        whole: Whole { bytes: record.size(), sha256: record.digest() },
    }
}

fn payments(tables: &Tables) -> Payments {
    let rows = tables.payments.iter().map(|(order_id, payment)| {
        let known = &payment.row.payment;
        PaymentRow {
            order_id: *order_id,
            status: known.status.as_str().to_owned(),
            void_due: known.void_due,
            reference: known.reference.clone(),
            last_error: payment.row.last_error.clone(),
            updated_at: payment.updated_at,
        }
    });
    let ledger = tables.ledger.iter().map(|entry| LedgerEntry {
        order_id: entry.order_id,
        kind: match entry.kind {
            Booking::Capture => auditor::Booking::Capture,
            Booking::Refund => auditor::Booking::Refund,
            Booking::Void => auditor::Booking::Void,
        },
        account: entry.account.as_str().to_owned(),
        amount: Money::new(entry.amount_minor, entry.currency),
        at: entry.at,
    });
    Payments { rows: rows.collect(), ledger: ledger.collect() }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
