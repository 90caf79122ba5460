//! The topics, as a `read_committed` reader sees them. What cannot be decoded is kept with the
//! cause.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use auditor::{Announcement, Log, Logged, Original, Whole};
use contracts::avro::Message;
use contracts::order::LatestOrder;
use contracts::topics::{self, Topic};
use contracts::view::ViewUpdated;
use contracts::{Order, OrderId, ServiceName, Timestamp};
use streams::record::names;
use streams::{Codec, Failure, Record};
use streams_kafka::dlq::{self, DeadLetter, Done};
use streams_kafka::{HttpRegistry, read_topic};
use tokio::runtime::Handle;

/// What is on the topics.
pub(super) struct Topics {
    pub(super) log: Log,
    pub(super) dead_letters: Vec<auditor::DeadLetter>,
    pub(super) log_starts: BTreeMap<(String, i32), i64>,
}

/// Reads everything, from the end of the choreography to its beginning. Blocks.
pub(super) fn read(kafka: &str, registry: &str, runtime: Handle) -> Result<Topics> {
    streams_kafka::admin::check_count(kafka, &topics::ALL)?;
    let codec = Codec::new(Arc::new(HttpRegistry::new(registry, runtime)?));
    let mut reader = Reader { kafka, codec, originals: RefCell::default() };
    // What ends its waiting is on a topic that is read after this one.
    let emails_waiting = reader.topic(&topics::EMAILS_WAITING)?;
    let (mut dead_letters, mut known) = (reader.dead_letters()?, Known::default());
    let origins = dead_letters.iter().map(|letter| (letter.origin.clone(), None));
    reader.originals = RefCell::new(origins.collect());
    // The fields of a struct are evaluated in the order in which they are written.
    let log = Log {
        emails_waiting,
        emails: reader.topic(&topics::EMAILS)?,
        order_views: reader.announcements(&mut known)?,
        orders_latest: reader.orders(
            &topics::ORDERS_LATEST,
            &mut known,
            |LatestOrder(order)| order,
        )?,
        stock: reader.topic(&topics::STOCK)?,
        reservations: reader.topic(&topics::RESERVATIONS)?,
        order_validations: reader.topic(&topics::ORDER_VALIDATIONS)?,
        order_refusals: reader.topic(&topics::ORDER_REFUSALS)?,
        orders: reader.orders(&topics::ORDERS, &mut known, |order| order)?,
        inventory_commands: reader.topic(&topics::INVENTORY_COMMANDS)?,
        order_commands: reader.topic(&topics::ORDER_COMMANDS)?,
        catalog_products: reader.products()?,
    };
    // What was deleted while it was read is deleted.
    let mut log_starts = BTreeMap::new();
    for topic in topics::ALL {
        let starts = streams_kafka::log_starts(kafka, topic)?.into_iter();
        let later = starts.filter(|(_, start)| *start > 0);
        log_starts
            .extend(later.map(|(partition, start)| ((topic.name.to_owned(), partition), start)));
    }
    let originals = reader.originals.into_inner();
    for letter in &mut dead_letters {
        letter.original = originals.get(&letter.origin).cloned().flatten();
    }
    Ok(Topics { log, dead_letters, log_starts })
}

/// The orders read so far: each is on three topics, and is kept once.
#[derive(Default)]
struct Known(HashMap<(OrderId, i64), Vec<Arc<Order>>>);

impl Known {
    /// `order`, as the value that is known already if there is one.
    fn share(&mut self, order: Order) -> Arc<Order> {
        // More than one of a version is what an audit is there to find.
        let versions = self.0.entry((order.order_id, order.version)).or_default();
        if let Some(known) = versions.iter().find(|known| ***known == order) {
            return Arc::clone(known);
        }
        let order = Arc::new(order);
        versions.push(Arc::clone(&order));
        order
    }
}

struct Reader<'a> {
    kafka: &'a str,
    codec: Codec,
    /// The records of the dead letters, by their addresses.
    originals: RefCell<HashMap<String, Option<Original>>>,
}

impl Reader<'_> {
    fn topic<K, V: Message>(&self, topic: &Topic<K, V>) -> Result<Vec<Logged<V>>> {
        self.records(topic, |record| self.value(topic, record))
    }

    /// `orders`, and its copies as the orders that they are.
    fn orders<V: Message>(
        &self,
        topic: &Topic<OrderId, V>,
        known: &mut Known,
        order: impl Fn(V) -> Order,
    ) -> Result<Vec<Logged<Arc<Order>>>> {
        self.records(topic, |record| Ok(known.share(order(self.value(topic, record)?))))
    }

    fn announcements(&self, known: &mut Known) -> Result<Vec<Logged<Announcement>>> {
        let topic = &topics::ORDER_VIEWS;
        self.records(topic, |record| {
            let ViewUpdated { order_id, view_version, order, .. } = self.value(topic, record)?;
            Ok(Announcement { order_id, view_version, order: known.share(order) })
        })
    }

    /// Where a row was deleted there is a record without a value.
    fn products(&self) -> Result<Vec<Logged<Option<contracts::catalog::Product>>>> {
        let topic = &topics::PRODUCTS;
        self.records(topic, |record| match &record.value {
            Some(bytes) => self.codec.decode(topic, bytes).map(Some),
            None => Ok(None),
        })
    }

    fn value<K, V: Message>(&self, topic: &Topic<K, V>, record: &Record) -> Result<V, Failure> {
        match &record.value {
            Some(bytes) => self.codec.decode(topic, bytes),
            None => Err(Failure::poison("the record has no value")),
        }
    }

    fn records<K, V, T>(
        &self,
        topic: &Topic<K, V>,
        mut decode: impl FnMut(&Record) -> Result<T, Failure>,
    ) -> Result<Vec<Logged<T>>> {
        let mut records = Vec::new();
        let each = |record: Record| {
            if let Some(found) = self.originals.borrow_mut().get_mut(&record.address()) {
                *found = Some(original(&record));
            }
            let value = match decode(&record) {
                Ok(value) => Ok(value),
                Err(Failure::Poison(cause)) => Err(cause),
                Err(failure) => return Err(anyhow!("{}: {failure}", record.address())),
            };
            let mut logged = logged(&record, value);
            // No law asks where the records of other topics have come by.
            logged.lineage = logged.lineage.filter(|_| topic.name() == topics::ORDERS.name());
            records.push(logged);
            Ok(())
        };
        read_topic(self.kafka, &topic.spec, each).with_context(|| topic.name())?;
        Ok(records)
    }

    fn dead_letters(&self) -> Result<Vec<auditor::DeadLetter>> {
        let mut dead_letters = Vec::new();
        for service in ServiceName::ALL {
            dead_letters.extend(
                dlq::list(self.kafka, topics::dlq(service))?
                    .iter()
                    .map(|found| dead_letter(service, found)),
            );
        }
        Ok(dead_letters)
    }
}

fn logged<T>(record: &Record, value: Result<T, String>) -> Logged<T> {
    let header = |name| record.headers.get(name).map(str::to_owned);
    Logged {
        partition: record.partition,
        offset: record.offset,
        timestamp: Timestamp(record.timestamp_ms),
        key: key_of(record),
        writer: header(names::SOURCE),
        lineage: header(names::LINEAGE),
        causation: header(names::CAUSATION_ID),
        value,
    }
}

fn dead_letter(service: ServiceName, found: &DeadLetter) -> auditor::DeadLetter {
    auditor::DeadLetter {
        service,
        partition: found.id.partition,
        offset: found.id.offset,
        timestamp: Timestamp(found.record.timestamp_ms),
        key: key_of(&found.record),
        origin: found.origin(),
        cause: found.cause().to_owned(),
        settled: found.done.is_some(),
        replayed: found.done == Some(Done::Replayed),
        value_bytes: value_bytes(&found.record),
        cut: found.cut().map(|(bytes, sha256)| Whole {
            bytes: bytes.parse().unwrap_or_default(),
            sha256: sha256.to_owned(),
        }),
        original: None,
    }
}

/// The record of a dead letter.
fn original(record: &Record) -> Original {
    Original {
        timestamp: Timestamp(record.timestamp_ms),
        value_bytes: value_bytes(record),
        whole: Whole { bytes: record.size(), sha256: record.digest() },
    }
}

fn value_bytes(record: &Record) -> usize {
    record.value.as_ref().map_or(0, Vec::len)
}

fn key_of(record: &Record) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: u128, version: i64) -> Order {
        Order { version, ..testkit::orders::order(id, &[], Timestamp(1)) }
    }

    #[test]
    fn an_order_is_kept_once_and_two_that_differ_are_two() {
        let mut known = Known::default();
        let first = known.share(order(1, 1));
        assert!(Arc::ptr_eq(&first, &known.share(order(1, 1))));
        let forged = known.share(Order { deadline: Timestamp(9), ..order(1, 1) });
        assert_eq!((first.deadline, forged.deadline), (Timestamp(60_001), Timestamp(9)));
        assert!(Arc::ptr_eq(&forged, &known.share(forged.as_ref().clone())));
        assert_eq!(known.share(order(1, 2)).version, 2);
    }
}
