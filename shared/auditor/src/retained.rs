//! [`Retained`]: what the log still has. Where records were deleted, their absence means nothing.
//!
//! The log start offsets say it, not the age of a record: brokers delete whole segments, later than
//! the retention says, and a person may delete records at any time (`kafka-delete-records`).

use crate::evidence::{Evidence, Log, Logged};
use contracts::{
    OrderId, Timestamp,
    partition::{self, partition_for},
};
use std::collections::BTreeMap;

/// The topics of dead letters, in a remark.
pub(crate) const DEAD_LETTERS: &str = "the dead letters";

/// The mail server, in a remark.
pub(crate) const MAIL_SERVER: &str = "the mail server";

/// What the log still has.
pub(crate) struct Retained<'a> {
    starts: &'a BTreeMap<(String, i32), i64>,
    /// By topic and partition, where records were deleted: all later ones are there.
    since: BTreeMap<(&'a str, i32), Timestamp>,
}

impl<'a> Retained<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let since = |((topic, partition), _): (&'a (String, i32), &i64)| {
            let first = first(&evidence.log, topic, *partition);
            let letters = evidence.dead_letters.iter();
            let is_on =
                |service: &str| topic.strip_suffix(".dlq").is_some_and(|name| name == service);
            let letters = letters
                .filter(|letter| letter.partition == *partition && is_on(letter.service.as_str()));
            let first = first.or(letters.map(|letter| letter.timestamp).min());
            // Clocks differ, and a record may be written a moment after its time.
            let since = first.map_or(evidence.taken_at, |at| at + evidence.grace);
            ((topic.as_str(), *partition), since)
        };
        Self {
            starts: &evidence.log_starts,
            since: evidence.log_starts.iter().map(since).collect(),
        }
    }

    /// Whether this partition has all that was written on it at this time or later.
    pub(crate) fn has_since(&self, topic: &str, partition: i32, at: Timestamp) -> bool {
        self.since.get(&(topic, partition)).is_none_or(|since| at >= *since)
    }

    /// The same for all partitions of a topic.
    pub(crate) fn all_have_since(&self, topic: &str, at: Timestamp) -> bool {
        (0..partition::count()).all(|partition| self.has_since(topic, partition, at))
    }

    /// Whether the partition of `key` has all of its records.
    pub(crate) fn is_whole(&self, topic: &str, key: &str) -> bool {
        !self.since.contains_key(&(topic, home(key)))
    }

    /// Whether all partitions of `topic` have all of their records.
    pub(crate) fn is_whole_topic(&self, topic: &str) -> bool {
        self.since.keys().all(|(name, _)| *name != topic)
    }

    /// Whether the record at `address` was deleted. False for what is no address.
    pub(crate) fn is_gone(&self, address: &str) -> bool {
        let place = address.rsplit_once('/').and_then(|(place, offset)| {
            let (topic, partition) = place.rsplit_once('/')?;
            Some(((topic.to_owned(), partition.parse().ok()?), offset.parse::<i64>().ok()?))
        });
        place.is_some_and(|(place, offset)| {
            self.starts.get(&place).is_some_and(|start| offset < *start)
        })
    }

    /// What `topic` lacks, in words.
    pub(crate) fn lacks(&self, topic: &str) -> String {
        let is_it = |name: &str| match topic {
            DEAD_LETTERS => name.ends_with(".dlq"),
            _ => name == topic,
        };
        let starts = self.starts.iter().filter(|((name, _), _)| is_it(name));
        let starts = starts.map(|((name, partition), start)| format!("{name}/{partition}/{start}"));
        match starts.collect::<Vec<_>>().join(", ").as_str() {
            "" if topic == MAIL_SERVER => "lacks the mails that it has forgotten".into(),
            "" => "lacks what was compacted away".into(),
            starts => format!("lacks what was deleted before {starts}"),
        }
    }
}

/// The partition of an order, or of a product, on every topic that has it as its key.
pub(crate) fn home(key: &str) -> i32 {
    partition_for(key.as_bytes(), partition::count())
}

/// The partition of `order_id` on every topic of orders.
pub(crate) fn home_of(order_id: OrderId) -> i32 {
    home(&order_id.to_string())
}

/// When the first record that is left on a partition was written.
fn first(log: &Log, topic: &str, partition: i32) -> Option<Timestamp> {
    fn of<T>(records: &[Logged<T>], partition: i32) -> Option<Timestamp> {
        records.iter().find(|record| record.partition == partition).map(|record| record.timestamp)
    }
    match topic {
        "orders" => of(&log.orders, partition),
        "orders.latest" => of(&log.orders_latest, partition),
        "orders.commands" => of(&log.order_commands, partition),
        "orders.refusals" => of(&log.order_refusals, partition),
        "order-validations" => of(&log.order_validations, partition),
        "inventory.commands" => of(&log.inventory_commands, partition),
        "stock" => of(&log.stock, partition),
        "inventory.reservations" => of(&log.reservations, partition),
        "catalog.products" => of(&log.catalog_products, partition),
        "order-views" => of(&log.order_views, partition),
        "emails" => of(&log.emails, partition),
        "emails.waiting" => of(&log.emails_waiting, partition),
        _ => None,
    }
}
