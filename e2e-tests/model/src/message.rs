//! What stands on topics, and what it says.

use crate::known::Known;
use contracts::{
    Order,
    inventory::{StockEntry, StockLevel},
    order::LatestOrder,
    owns::Orders,
    topics::{self, Key, ORDER_REFUSALS, ORDERS, ORDERS_LATEST, RESERVATIONS, STOCK, Topic},
};
use payments::inputs::{Reaction, reaction};
use std::sync::{Arc, LazyLock};
use streams::{
    Codec, Headers, MemoryRegistry, Outgoing, Record, avro::Message as Avro, lineage::Cause,
    record::names,
};

/// Whether a service decides by this header: by the writer always, by the cause only of an order's
/// first version, whose PlaceOrder it names. The others are for people, and each record has an id
/// of its own.
fn is_decisive(name: &str, says: &Says) -> bool {
    let begins = matches!(says, Says::Order(order, _) if order.version == 1);
    name == names::SOURCE || (begins && name == names::CAUSATION_ID)
}

/// The codec of all services.
pub fn codec() -> &'static Codec {
    static CODEC: LazyLock<Codec> = LazyLock::new(|| {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        codec.warm_up(&topics::ALL).expect("a registry in memory takes every schema");
        codec
    });
    &CODEC
}

/// A record, wherever it may come to stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    topic: &'static str,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
    /// What it says, for the laws.
    pub says: Says,
}

/// The content of a record, as far as a law needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Says {
    /// On `orders`: the order, and whether payments has something to do about it.
    Order(Order, bool),
    /// On `orders.latest`.
    Latest(Order),
    /// On `orders.refusals`: the name of the command.
    Refused(String),
    /// On `stock`.
    Level(StockLevel),
    /// On `inventory.reservations`.
    Entry(StockEntry),
    /// Something that only services read.
    Other,
}

/// A record that was sent, and to which partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    /// The topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: i32,
    /// What.
    pub message: Known<Message>,
}

impl From<Outgoing> for Sent {
    fn from(outgoing: Outgoing) -> Self {
        let Outgoing { topic, partition, .. } = outgoing;
        Self { topic, partition, message: Known::from(Message::from(outgoing)) }
    }
}

impl From<Outgoing> for Message {
    fn from(Outgoing { topic, key, value, headers, .. }: Outgoing) -> Self {
        let mut message = Self { topic, key, value, headers, says: Says::Other };
        message.says = message.read();
        let Self { headers, says, .. } = &mut message;
        headers.0.retain(|(name, _)| is_decisive(name, says));
        message
    }
}

impl Message {
    /// What the edge writes.
    pub fn at_the_edge<K: Key, V: Avro>(topic: &'static Topic<K, V>, key: &K, message: &V) -> Self {
        let value = codec().encode(&topic.spec, message).expect("the message fits its schema");
        let headers = Cause::default().headers::<Orders>("", "", contracts::Timestamp(0));
        let (partition, key, value) = (0, Some(key.to_bytes()), Some(value));
        Outgoing { topic: topic.name(), partition, key, value, headers }.into()
    }

    /// The record at `offset` of `partition`.
    pub fn record(&self, partition: i32, offset: usize) -> Record {
        Record {
            topic: self.topic.into(),
            partition,
            offset: offset as i64,
            timestamp_ms: 0,
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.clone(),
        }
    }

    /// The message in it, if it is one of `topic`.
    pub fn decode<K, V: Avro>(&self, topic: &Topic<K, V>) -> Option<V> {
        if self.topic != topic.name() {
            return None;
        }
        codec().decode(topic, self.value.as_deref()?).ok()
    }

    /// Who wrote it.
    pub fn writer(&self) -> Option<&str> {
        self.headers.source()
    }

    /// The same with another message in it.
    pub fn instead<K, V: Avro>(&self, topic: &'static Topic<K, V>, message: &V) -> Self {
        let value = codec().encode(&topic.spec, message).expect("the message fits its schema");
        Self { value: Some(value), ..self.clone() }
    }

    fn read(&self) -> Says {
        if let Some(order) = self.decode(&ORDERS) {
            let asks = reaction(codec(), &self.record(0, 0));
            return Says::Order(order, !matches!(asks, Ok(Reaction::Nothing(_))));
        }
        let latest = self.decode(&ORDERS_LATEST).map(|LatestOrder(order)| Says::Latest(order));
        let refused = || self.decode(&ORDER_REFUSALS).map(|r| Says::Refused(r.command));
        let level = || self.decode(&STOCK).map(Says::Level);
        let entry = || self.decode(&RESERVATIONS).map(Says::Entry);
        latest.or_else(refused).or_else(level).or_else(entry).unwrap_or(Says::Other)
    }
}
