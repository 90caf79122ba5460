//! [`Driver`]: runs a [`Processor`] in the [`Engine`], record by record, without Kafka. Each record
//! is a transaction of its own that always commits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use streams::{
    Codec, Effect, Engine, Event, Fact, Failure, Headers, MemoryRegistry, MemoryStore, Outgoing,
    Processor, Record, Store, Timestamp, Tx,
    avro::Message,
    engine::{Apply, Offsets, Polled},
    partition::{self, partition_for},
    record::names,
    store::{Entries, Positions},
    topic::{Key, Topic},
    tx::dlq_names,
};

/// What came of one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// What was sent, dead letters excluded.
    pub sent: Vec<Outgoing>,
    /// Why the record went to the dead letters, if it did.
    pub dead_letter: Option<String>,
}

/// What stands on the topics, for a restore: the records from offset 0 on, without gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Logs {
    /// The records of each partition of a topic.
    pub records: BTreeMap<(String, i32), Vec<Record>>,
    /// Where the group stands.
    pub committed: Offsets,
}

impl Logs {
    fn of(&self, topic: &str, partition: i32) -> &[Record] {
        self.records.get(&(topic.to_owned(), partition)).map_or(&[], Vec::as_slice)
    }
}

/// An engine with a store in memory and a clock that does not move by itself.
pub struct Driver<P> {
    engine: Engine<P>,
    /// Its state.
    pub store: MemoryStore,
    now: Timestamp,
    /// The next offset of each partition, of what is made here.
    offsets: BTreeMap<(String, i32), i64>,
    /// What the engine asks for next.
    effect: Effect,
    is_assigned: bool,
    /// What a restore reads; without it the store is where the logs are.
    logs: Option<Logs>,
}

impl<P: Processor> Driver<P> {
    /// A driver at 2023-11-14T22:13:20Z with an empty store.
    pub fn new(processor: P) -> Self {
        Self::with_store(processor, MemoryStore::default())
    }

    /// A driver over a store that another driver has filled.
    pub fn with_store(processor: P, store: MemoryStore) -> Self {
        Self::over(processor, store, Codec::new(Arc::new(MemoryRegistry::default())))
    }

    /// The same with a codec that it shares with others.
    pub fn over(processor: P, store: MemoryStore, codec: Codec) -> Self {
        let now = Timestamp(1_700_000_000_000);
        let (engine, effect) = Self::start(processor, codec, now, &store);
        let (offsets, is_assigned, logs) = (BTreeMap::new(), false, None);
        Self { engine, store, now, offsets, effect, is_assigned, logs }
    }

    fn start(
        processor: P,
        codec: Codec,
        now: Timestamp,
        store: &MemoryStore,
    ) -> (Engine<P>, Effect) {
        let mut engine = Engine::new(processor, codec);
        let effect = engine.next(Event::Proceed, now, store);
        (engine, effect)
    }

    /// Put another processor in the place of this one, as another life of the process has it.
    pub fn restart(&mut self, processor: P) {
        let codec = self.engine.codec().clone();
        (self.engine, self.effect) = Self::start(processor, codec, self.now, &self.store);
        self.is_assigned = false;
    }

    /// The processor.
    pub fn processor(&self) -> &P {
        self.engine.processor()
    }

    /// The processor, for a test that calls it by itself.
    pub fn processor_mut(&mut self) -> &mut P {
        self.engine.processor_mut()
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
        self.engine.codec()
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
        let value = self.codec().encode(&topic.spec, message).expect("the message fits its schema");
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
        let partition =
            partition_for(key.partition_by().as_deref().unwrap_or(&key_bytes), partition::count());
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
        let mut sent = self.run(vec![record.clone()], false);
        let is_letter = |outgoing: &&Outgoing| outgoing.topic.ends_with(".dlq");
        let letter = sent.iter().find(is_letter);
        let cause = letter.and_then(|letter| letter.headers.get(dlq_names::CAUSE));
        let dead_letter = cause.map(str::to_owned);
        sent.retain(|outgoing| !is_letter(&outgoing));
        Fed { sent, dead_letter }
    }

    /// One batch through the engine; what it has sent.
    fn run(&mut self, records: Vec<Record>, tick: bool) -> Vec<Outgoing> {
        let (mut polled, mut sent) = (Some((records, tick)), Vec::new());
        loop {
            let event = match std::mem::replace(&mut self.effect, Effect::Poll) {
                Effect::Poll => match polled.take() {
                    Some((records, tick)) => self.polled(records, tick),
                    None => return sent,
                },
                Effect::Send(outgoing) => {
                    let offset = |out: &Outgoing| ((out.topic.to_owned(), out.partition), 0);
                    let delivered = outgoing.iter().map(offset).collect();
                    sent.extend(outgoing);
                    Event::Delivered(delivered)
                }
                other => self.perform(other),
            };
            self.effect = self.engine.next(event, self.now, &self.store);
        }
    }

    fn polled(&mut self, records: Vec<Record>, tick: bool) -> Event {
        let inputs = self.engine.processor().inputs();
        let partitions = inputs.iter().map(|topic| topic.partitions()).max().unwrap_or(0);
        let owned: BTreeSet<i32> = (0..partitions).collect();
        let assigned = if self.is_assigned { BTreeSet::new() } else { owned.clone() };
        self.is_assigned = true;
        Event::Polled(Polled { owned, assigned, records, tick, ..Polled::default() })
    }

    /// Everything else succeeds at once: nothing is lost, and there is no other instance.
    fn perform(&mut self, effect: Effect) -> Event {
        match effect {
            Effect::Connect => Event::Connected,
            Effect::FetchOffsets { partition } => {
                if let Some(logs) = &self.logs {
                    return Event::Offsets(logs.committed.clone());
                }
                let positions = self.store.positions(partition).expect("memory does not fail");
                let offset = |(topic, position)| ((topic, partition), position);
                Event::Offsets(positions.into_iter().map(offset).collect())
            }
            Effect::FetchEnd { topic, partition } => {
                if let Some(logs) = &self.logs {
                    return Event::End(logs.of(topic, partition).len() as i64);
                }
                let positions = self.store.positions(partition).expect("memory does not fail");
                Event::End(positions.get(topic).copied().unwrap_or(0))
            }
            Effect::Read { topic, partition, from, to } if self.logs.is_some() => {
                let logs = self.logs.as_ref().expect("it was looked at");
                let wanted = |record: &&Record| (from..to).contains(&record.offset);
                let records = logs.of(&topic, partition).iter().filter(wanted).cloned();
                Event::Read { records: records.collect(), next: to }
            }
            Effect::Apply(Apply { partition, writes, positions }) => {
                let applied = self.store.apply(partition, writes, &positions);
                applied.expect("memory does not fail");
                Event::Applied
            }
            Effect::Begin => Event::Begun,
            Effect::SendOffsets(_) => Event::OffsetsAccepted,
            Effect::Commit | Effect::CommitOffsets(_) => Event::Committed { doubtful: false },
            other => panic!("{other:?}: the processor has failed"),
        }
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
            key: outgoing.key.clone(),
            value: outgoing.value.clone(),
            headers: outgoing.headers.clone(),
        };
        self.feed_record(&record)
    }

    /// Restore every partition from `logs`, on top of what the store has: the engine's own restore.
    ///
    /// # Panics
    /// When the processor fails in another way than by poison.
    pub fn restore_from(&mut self, logs: Logs) {
        (self.logs, self.is_assigned) = (Some(logs), false);
        let sent = self.run(Vec::new(), false);
        assert!(sent.is_empty(), "a restore must not send: {sent:?}");
        self.logs = None;
    }

    /// Fold a record into the state, as a restore does.
    ///
    /// # Panics
    /// When the processor fails in another way than by poison.
    pub fn restore(&mut self, record: &Record) {
        let (store, codec) = (self.store.clone(), self.codec().clone());
        let processor = self.engine.processor_mut();
        let mut tx = Tx::replay(&store, &codec, self.now);
        tx.begin(record);
        match processor.process(record, &mut tx) {
            Ok(()) => tx.keep(),
            Err(Failure::Poison(_)) => return,
            Err(failure) => panic!("{}: {failure}", record.address()),
        }
        let positions = Positions::from([(record.topic.to_string(), record.offset + 1)]);
        let (sent, mut writes, _) = tx.into_parts();
        assert!(sent.is_empty(), "a restore must not send: {sent:?}");
        let writes = writes.remove(&record.partition).unwrap_or_default();
        self.store.apply(record.partition, writes, &positions).expect("memory does not fail");
    }

    /// Let time act, on every partition; what is sent because of it.
    ///
    /// # Panics
    /// When the processor fails.
    pub fn tick(&mut self) -> Vec<Outgoing> {
        self.run(Vec::new(), true)
    }

    /// The message in an outgoing record.
    ///
    /// # Panics
    /// When it is no `V`.
    pub fn message<K, V: Message>(&self, topic: &Topic<K, V>, outgoing: &Outgoing) -> V {
        let value = outgoing.value.as_deref().expect("the record has a value");
        self.codec().decode(topic, value).expect("what was sent can be read")
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
        (0..partition::count())
            .map(|partition| whole(partition).expect("memory does not fail"))
            .collect()
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
