//! Typed topics: each with its key, value, writers, readers, number of partitions and retention. A
//! program declares its topics once, as statics.

use crate::{
    avro::{Message, SchemaFile},
    limits::MESSAGE_BYTES_MAX,
    partition,
};
use std::{fmt, marker::PhantomData};

/// The key of a record.
pub trait Key: Sized {
    /// What the key is, for people.
    const NAME: &'static str;

    /// The key's bytes on the wire: plain UTF-8.
    fn to_bytes(&self) -> Vec<u8>;

    /// The key from its bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;

    /// The bytes that decide the partition, where these are not the key's own.
    fn partition_by(&self) -> Option<Vec<u8>> {
        None
    }
}

impl Key for String {
    const NAME: &'static str = "text";

    fn to_bytes(&self) -> Vec<u8> {
        self.clone().into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        String::from_utf8(bytes.to_vec()).map_err(|_| "the key is not UTF-8".into())
    }
}

/// How long a topic keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// For ever: the log is the system of record.
    Keep,
    /// The last record of each key: an entity topic.
    Compact,
    /// For so many milliseconds.
    Delete {
        /// Retention.
        retention_ms: i64,
    },
}

/// How many partitions a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionCount {
    /// This number.
    Fixed(i32),
    /// What the setting says ([`partition::count`]): topics that share a key have the same, so that
    /// one instance owns partition p of all of them.
    Setting,
}

impl PartitionCount {
    /// The number, in this process.
    pub fn number(self) -> i32 {
        match self {
            Self::Fixed(count) => count,
            Self::Setting => partition::count(),
        }
    }
}

/// The writers of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Anyone may ask: a command topic.
    AnyProcess,
    /// One service, by its name.
    One(&'static str),
    /// Several services, each its own records: which ones, the types of the records say.
    Several(&'static [&'static str]),
    /// A connector that captures the changes of a database.
    Cdc,
}

impl Writers {
    /// Whether `service` is a declared writer. A command topic declares none, because any process
    /// may write a command.
    pub fn includes(&self, service: &str) -> bool {
        match self {
            Writers::One(writer) => *writer == service,
            Writers::Several(writers) => writers.contains(&service),
            Writers::AnyProcess | Writers::Cdc => false,
        }
    }
}

/// What is known of a topic without its types.
#[derive(Clone, Copy)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: &'static str,
    /// What the key is.
    pub key: &'static str,
    /// What the value is.
    pub value: &'static str,
    /// The record types on the topic; none where the bytes are foreign.
    pub schemas: fn() -> &'static [&'static SchemaFile],
    /// Its writers.
    pub writers: Writers,
    /// How many partitions it has.
    pub partitions: PartitionCount,
    /// How long records are kept.
    pub cleanup: Cleanup,
}

impl fmt::Debug for TopicSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl TopicSpec {
    /// How many partitions it has by its contract, in this process.
    pub fn partitions(&self) -> i32 {
        self.partitions.number()
    }

    /// The registry subject of `schema` on this topic: Confluent's TopicNameStrategy where the
    /// topic carries one record type, TopicRecordNameStrategy where it carries several.
    pub fn subject(&self, schema: &SchemaFile) -> String {
        if (self.schemas)().len() == 1 {
            format!("{}-value", self.name)
        } else {
            format!("{}-{}", self.name, schema.name())
        }
    }

    /// Broker-side settings of the topic.
    pub fn config(&self) -> Vec<(&'static str, String)> {
        let mut config = Self::common();
        config.extend(match self.cleanup {
            Cleanup::Keep => {
                vec![("cleanup.policy", "delete".into()), ("retention.ms", "-1".into())]
            }
            Cleanup::Compact => vec![("cleanup.policy", "compact".into())],
            Cleanup::Delete { retention_ms } => vec![
                ("cleanup.policy", "delete".into()),
                ("retention.ms", retention_ms.to_string()),
            ],
        });
        config
    }

    /// The settings that all topics have.
    ///
    /// The brokers stamp what they append: their clock is that of all ([`crate::clock`]).
    ///
    /// Two settings bound what the topic takes. A broker that keeps batches as they come
    /// bounds them compressed, and 10 KB of gzip may be 10 MB for their readers. One that keeps
    /// them uncompressed bounds what its readers get.
    pub fn common() -> Vec<(&'static str, String)> {
        vec![
            ("max.message.bytes", MESSAGE_BYTES_MAX.to_string()),
            ("compression.type", "uncompressed".into()),
            ("message.timestamp.type", "LogAppendTime".into()),
        ]
    }

    /// Whether we register the topic's schemas, or another system does.
    pub fn registers_schemas(&self) -> bool {
        self.writers != Writers::Cdc
    }
}

/// A topic with the types of its key and value.
pub struct Topic<K, V> {
    /// The same without types.
    pub spec: TopicSpec,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Topic<K, V> {
    /// The topic's name.
    pub const fn name(&self) -> &'static str {
        self.spec.name
    }
}

impl<K: Key, V: Message> Topic<K, V> {
    /// A topic with `partitions` that any process may write, and that keeps its records for
    /// ever; the methods below say otherwise. `value` tells people what it carries.
    pub const fn new(name: &'static str, value: &'static str, partitions: PartitionCount) -> Self {
        let spec = TopicSpec {
            name,
            key: K::NAME,
            value,
            schemas: V::schemas,
            writers: Writers::AnyProcess,
            partitions,
            cleanup: Cleanup::Keep,
        };
        Self { spec, types: PhantomData }
    }

    /// The same with these writers.
    pub const fn written_by(mut self, writers: Writers) -> Self {
        self.spec.writers = writers;
        self
    }

    /// The same, with its records kept so.
    pub const fn kept(mut self, cleanup: Cleanup) -> Self {
        self.spec.cleanup = cleanup;
        self
    }
}

/// The topic `name` for the dead letters of `service`: original bytes, and headers that say why.
/// They are kept for 30 days.
pub const fn dead_letters(
    name: &'static str,
    service: &'static str,
    partitions: PartitionCount,
) -> TopicSpec {
    TopicSpec {
        name,
        key: "original key",
        value: "original bytes + headers why",
        schemas: || &[],
        writers: Writers::One(service),
        partitions,
        cleanup: Cleanup::Delete { retention_ms: 30 * 24 * 60 * 60 * 1000 },
    }
}

/// The runtime's own topic: which records each group passes by, as an operator has asked for, and
/// why. It outlives the dead letters, as a restore may read such a record years later.
pub static PASSED_BY: TopicSpec = TopicSpec {
    name: "passed-by",
    key: "group/topic/partition/offset",
    value: "why",
    schemas: || &[],
    writers: Writers::AnyProcess,
    partitions: PartitionCount::Fixed(1),
    cleanup: Cleanup::Compact,
};

/// The runtime's own topic: where processes ask for the time. It has no reader.
pub static CLOCK: TopicSpec = TopicSpec {
    name: "clock",
    key: "process",
    value: "none",
    schemas: || &[],
    writers: Writers::AnyProcess,
    partitions: PartitionCount::Fixed(1),
    cleanup: Cleanup::Delete { retention_ms: 60 * 60 * 1000 },
};

/// The runtime's own topic: which schema each id stands for. Provisioning writes it.
pub static SCHEMAS: TopicSpec = TopicSpec {
    name: "schemas",
    key: "schema id",
    value: "schema, as JSON",
    schemas: || &[],
    writers: Writers::Several(&[]),
    partitions: PartitionCount::Fixed(1),
    cleanup: Cleanup::Compact,
};

/// One line of a service's `topology.rs`: a topic, what handles it, and where its results go.
#[derive(Clone, Copy)]
pub struct Flow {
    /// What is read.
    pub from: &'static TopicSpec,
    /// The handler's module.
    pub handler: &'static str,
    /// What is written because of it.
    pub to: &'static [&'static TopicSpec],
    /// The kinds of record on `from` that it acts upon; none if it acts upon every kind.
    pub on: &'static [&'static str],
    /// The kinds of record that it writes, where a topic of `to` carries several.
    pub gives: &'static [&'static str],
    /// No customer waits for what it writes.
    pub is_later: bool,
}

impl Flow {
    /// The same, if it acts upon these kinds of record alone. Which kinds there are, the program
    /// decides that declares the topics.
    pub const fn on(mut self, kinds: &'static [&'static str]) -> Self {
        self.on = kinds;
        self
    }

    /// The same, if it writes these kinds of record.
    pub const fn gives(mut self, kinds: &'static [&'static str]) -> Self {
        self.gives = kinds;
        self
    }

    /// The same, if no customer waits for what it writes: its records may wait for others
    /// ([`crate::Processor::is_awaited`]).
    pub const fn later(mut self) -> Self {
        self.is_later = true;
        self
    }

    /// Whether it acts upon this kind of record.
    pub fn acts_upon(&self, kind: &str) -> bool {
        self.on.is_empty() || self.on.contains(&kind)
    }
}

/// A line of a `topology.rs`.
pub const fn flow(
    from: &'static TopicSpec,
    handler: &'static str,
    to: &'static [&'static TopicSpec],
) -> Flow {
    Flow { from, handler, to, on: &[], gives: &[], is_later: false }
}

/// The topics that `flows` read, each once.
pub fn inputs<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<&'static TopicSpec> {
    distinct(flows.into_iter().map(|flow| flow.from))
}

/// The topics that `flows` write, each once.
pub fn outputs<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<&'static TopicSpec> {
    distinct(flows.into_iter().flat_map(|flow| flow.to.iter().copied()))
}

fn distinct(topics: impl Iterator<Item = &'static TopicSpec>) -> Vec<&'static TopicSpec> {
    let mut distinct: Vec<&'static TopicSpec> = Vec::new();
    for topic in topics {
        if distinct.iter().all(|known| known.name != topic.name) {
            distinct.push(topic);
        }
    }
    distinct
}
