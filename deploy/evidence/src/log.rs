//! The topics, as a `read_committed` reader sees them. What cannot be decoded is kept with the cause.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use auditor::{Letter, Log, Logged};
use contracts::avro::Message;
use contracts::order::LatestOrder;
use contracts::topics::{self, Topic};
use contracts::{Order, ServiceName, Timestamp};
use streams::record::names;
use streams::{Codec, Failure, Record};
use streams_kafka::dlq::{self, DeadLetter};
use streams_kafka::{HttpRegistry, read_topic};
use tokio::runtime::Handle;

/// Reads everything, from the end of the choreography to its beginning. Blocks.
pub(super) fn read(kafka: &str, registry: &str, runtime: Handle) -> Result<(Log, Vec<Letter>)> {
    let reader =
        Reader { kafka, codec: Codec::new(Arc::new(HttpRegistry::new(registry, runtime)?)) };
    let letters = reader.letters()?;
    // The fields of a struct are evaluated in the order in which they are written.
    let log = Log {
        emails: reader.topic(&topics::EMAILS)?,
        order_views: reader.topic(&topics::ORDER_VIEWS)?,
        orders_latest: reader.latest()?,
        stock: reader.topic(&topics::STOCK)?,
        reservations: reader.topic(&topics::RESERVATIONS)?,
        order_validations: reader.topic(&topics::ORDER_VALIDATIONS)?,
        order_refusals: reader.topic(&topics::ORDER_REFUSALS)?,
        orders: reader.topic(&topics::ORDERS)?,
        inventory_commands: reader.topic(&topics::INVENTORY_COMMANDS)?,
        order_commands: reader.topic(&topics::ORDER_COMMANDS)?,
        catalog_products: reader.products()?,
    };
    Ok((log, letters))
}

struct Reader<'a> {
    kafka: &'a str,
    codec: Codec,
}

impl Reader<'_> {
    fn topic<K, V: Message>(&self, topic: &Topic<K, V>) -> Result<Vec<Logged<V>>> {
        self.records(topic, |record| match &record.value {
            Some(bytes) => self.codec.decode(topic, bytes),
            None => Err(Failure::poison("the record has no value")),
        })
    }

    /// The copies of orders are evidence as the orders that they are.
    fn latest(&self) -> Result<Vec<Logged<Order>>> {
        let copies = self.topic(&topics::ORDERS_LATEST)?;
        Ok(copies.into_iter().map(|copy| map(copy, |LatestOrder(order)| order)).collect())
    }

    /// Where a row was deleted there is a record without a value.
    fn products(&self) -> Result<Vec<Logged<Option<contracts::catalog::Product>>>> {
        let topic = &topics::PRODUCTS;
        self.records(topic, |record| match &record.value {
            Some(bytes) => self.codec.decode(topic, bytes).map(Some),
            None => Ok(None),
        })
    }

    fn records<K, V, T>(
        &self,
        topic: &Topic<K, V>,
        decode: impl Fn(&Record) -> Result<T, Failure>,
    ) -> Result<Vec<Logged<T>>> {
        let mut records = Vec::new();
        let each = |record: Record| {
            let value = match decode(&record) {
                Ok(value) => Ok(value),
                Err(Failure::Poison(cause)) => Err(cause),
                Err(failure) => return Err(anyhow!("{}: {failure}", record.address())),
            };
            records.push(logged(&record, value));
            Ok(())
        };
        read_topic(self.kafka, &topic.spec, each).with_context(|| topic.name())?;
        Ok(records)
    }

    fn letters(&self) -> Result<Vec<Letter>> {
        let mut letters = Vec::new();
        for service in ServiceName::ALL {
            letters.extend(
                dlq::list(self.kafka, topics::dlq(service))?.iter().map(|l| letter(service, l)),
            );
        }
        Ok(letters)
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

fn map<T, U>(record: Logged<T>, change: impl FnOnce(T) -> U) -> Logged<U> {
    let Logged { partition, offset, timestamp, key, writer, lineage, causation, value } = record;
    let value = value.map(change);
    Logged { partition, offset, timestamp, key, writer, lineage, causation, value }
}

fn letter(service: ServiceName, letter: &DeadLetter) -> Letter {
    Letter {
        service,
        partition: letter.id.partition,
        offset: letter.id.offset,
        timestamp: Timestamp(letter.record.timestamp_ms),
        key: key_of(&letter.record),
        origin: letter.origin(),
        cause: letter.cause().to_owned(),
        settled: letter.done.is_some(),
    }
}

fn key_of(record: &Record) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}
