//! [`Driver`]: runs a [`Processor`] record by record, without Kafka. Each record is a transaction
//! of its own that always commits.

use contracts::{
    Timestamp,
    avro::Message,
    topics::{Key, PARTITIONS, Topic},
};
use std::{collections::BTreeMap, sync::Arc};
use streams::{
    Codec, Fact, Failure, Headers, MemoryRegistry, MemoryStore, Outgoing, Processor, Record, Store,
    Tx,
    record::names,
    store::{Entries, Positions},
};

/// What came of one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// What was sent, dead letters excluded.
    pub sent: Vec<Outgoing>,
    /// Why the record went to the dead letters, if it did.
    pub dead_letter: Option<String>,
}

/// A processor with a store in memory and a clock that stands still.
pub struct Driver<P> {
    /// The processor.
    pub processor: P,
    /// Its state.
    pub store: MemoryStore,
    codec: Codec,
    now: Timestamp,
    offsets: BTreeMap<(String, i32), i64>,
}

impl<P: Processor> Driver<P> {
    /// A driver at 2023-11-14T22:13:20Z with an empty store.
    pub fn new(processor: P) -> Self {
        Self::with_store(processor, MemoryStore::default())
    }

    /// A driver over a store that somebody else has filled.
    pub fn with_store(processor: P, store: MemoryStore) -> Self {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        let now = Timestamp(1_700_000_000_000);
        Self { processor, store, codec, now, offsets: BTreeMap::new() }
    }

    /// Set the clock.
    pub fn at(&mut self, now: Timestamp) -> &mut Self {
        self.now = now;
        self
    }

    /// The clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The codec, for what a test encodes or decodes itself.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The record that `source` would write, at the next offset of its partition.
    ///
    /// # Panics
    /// When the message does not fit its schema.
    pub fn record<K: Key, V: Message>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        message: &V,
        source: &str,
    ) -> Record {
        let value = self.codec.encode(&topic.spec, message).expect("the message fits its schema");
        let mut headers = Headers::default();
        headers.push(names::SOURCE, source);
        headers.push(names::TYPE, message.name());
        self.raw_record(topic, key, value, headers)
    }

    /// A record with these bytes, at the next offset of its partition.
    pub fn raw_record<K: Key, V>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        value: Vec<u8>,
        headers: Headers,
    ) -> Record {
        let key_bytes = key.to_bytes();
        let partition = contracts::partition::partition_for(
            key.partition_by().as_deref().unwrap_or(&key_bytes),
            PARTITIONS,
        );
        let next = self.offsets.entry((topic.name().to_owned(), partition)).or_insert(0);
        let offset = *next;
        *next += 1;
        Record {
            topic: topic.name().into(),
            partition,
            offset,
            timestamp_ms: self.now.millis(),
            key: Some(key_bytes),
            value: Some(value),
            headers,
        }
    }

    /// Feed the message that `source` would write.
    ///
    /// # Panics
    /// When the processor fails in another way than by poison.
    pub fn feed<K: Key, V: Message>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        message: &V,
        source: &str,
    ) -> Fed {
        let record = self.record(topic, key, message, source);
        self.feed_record(&record)
    }

    /// Feed a record.
    ///
    /// # Panics
    /// When the processor fails in another way than by poison.
    pub fn feed_record(&mut self, record: &Record) -> Fed {
        let mut tx = Tx::new(&self.store, &self.codec, self.now);
        tx.begin(record);
        let mut dead_letter = None;
        match self.processor.process(record, &mut tx) {
            Ok(()) => tx.keep(),
            Err(Failure::Poison(cause)) => {
                tx.dead_letter(record, &cause);
                dead_letter = Some(cause);
            }
            Err(failure) => panic!("{}: {failure}", record.address()),
        }
        self.processor.flush(&mut tx).expect("flush succeeds");
        tx.keep();
        let positions = Positions::from([(record.topic.to_string(), record.offset + 1)]);
        let mut sent = Self::commit(&self.store, tx, &positions, record.partition);
        sent.retain(|outgoing| !outgoing.topic.ends_with(".dlq"));
        Fed { sent, dead_letter }
    }

    /// Feed an outgoing record to the processor, as if it had been read back from its topic.
    pub fn feed_outgoing(&mut self, outgoing: &Outgoing) -> Fed {
        let place = (outgoing.topic.to_owned(), outgoing.partition);
        let next = self.offsets.entry(place).or_insert(0);
        let offset = *next;
        *next += 1;
        let record = Record {
            topic: outgoing.topic.into(),
            partition: outgoing.partition,
            offset,
            timestamp_ms: self.now.millis(),
            key: Some(outgoing.key.clone()),
            value: outgoing.value.clone(),
            headers: outgoing.headers.clone(),
        };
        self.feed_record(&record)
    }

    /// Fold a record into the state, as a restore does.
    ///
    /// # Panics
    /// When the processor fails in another way than by poison.
    pub fn restore(&mut self, record: &Record) {
        let mut tx = Tx::new(&self.store, &self.codec, self.now);
        tx.begin(record);
        match self.processor.restore(record, &mut tx) {
            Ok(()) => tx.keep(),
            Err(Failure::Poison(_)) => return,
            Err(failure) => panic!("{}: {failure}", record.address()),
        }
        let positions = Positions::from([(record.topic.to_string(), record.offset + 1)]);
        let sent = Self::commit(&self.store, tx, &positions, record.partition);
        assert!(sent.is_empty(), "a restore must not send: {sent:?}");
    }

    /// Let time act on `partition`.
    ///
    /// # Panics
    /// When the processor fails.
    pub fn tick(&mut self, partition: i32) -> Vec<Outgoing> {
        let mut tx = Tx::new(&self.store, &self.codec, self.now);
        tx.begin_partition(partition);
        self.processor.tick(&mut tx).expect("the tick succeeds");
        tx.keep();
        self.processor.flush(&mut tx).expect("flush succeeds");
        tx.keep();
        Self::commit(&self.store, tx, &Positions::new(), partition)
    }

    /// The message in an outgoing record.
    ///
    /// # Panics
    /// When it is no `V`.
    pub fn message<K, V: Message>(&self, topic: &Topic<K, V>, outgoing: &Outgoing) -> V {
        let value = outgoing.value.as_deref().expect("the record has a value");
        self.codec.decode(topic, value).expect("what was sent can be read")
    }

    /// The messages that were sent to `topic`, in order.
    pub fn sent_on<K, V: Message>(&self, topic: &Topic<K, V>, sent: &[Outgoing]) -> Vec<V> {
        let on_topic = sent.iter().filter(|outgoing| outgoing.topic == topic.name());
        on_topic.map(|outgoing| self.message(topic, outgoing)).collect()
    }

    /// Everything in the store, for comparison.
    ///
    /// # Panics
    /// Never: the store is in memory.
    pub fn state(&self) -> Vec<Entries> {
        let whole = |partition| self.store.range(partition, &[0], &[255], usize::MAX);
        (0..PARTITIONS).map(|partition| whole(partition).expect("memory does not fail")).collect()
    }

    fn commit(
        store: &MemoryStore,
        tx: Tx<'_, P::Identity>,
        positions: &Positions,
        partition: i32,
    ) -> Vec<Outgoing> {
        let (sent, mut writes) = tx.into_parts();
        writes.entry(partition).or_default();
        for (partition, writes) in writes {
            store.apply(partition, writes, positions).expect("memory does not fail");
        }
        sent
    }
}

/// Feed `record` twice; what the first time gave. The second time must change no state and send
/// nothing to the topics that `once` names.
///
/// # Panics
/// When the second time does something.
pub fn apply_twice<P: Processor>(driver: &mut Driver<P>, record: &Record, once: &[&str]) -> Fed {
    let first = driver.feed_record(record);
    let state = driver.state();
    let second = driver.feed_record(record);
    assert_eq!(driver.state(), state, "{} changed state a second time", record.address());
    let again: Vec<_> = second.sent.iter().filter(|out| once.contains(&out.topic)).collect();
    assert!(again.is_empty(), "{} was acted upon a second time: {again:?}", record.address());
    first
}
