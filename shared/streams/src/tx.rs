//! [`Tx`]: the effects of a processor on a batch, collected before any of them happens.
//!
//! A transaction gathers state changes in an overlay and the records to send in a list. Nothing
//! reaches the store or the broker until the engine commits, so dropping a `Tx` undoes everything.
//! Within it each record has a savepoint: poison takes back only its own changes.

mod letters;

pub use letters::{dead_letter, dead_letter_of, dlq_names, mark_cut};

use crate::{
    Codec, Failure, Owns, Record, Service, Table, Timestamp,
    avro::Message,
    lineage::Cause,
    partition::partition_for,
    record::Headers,
    store::{Store, Writes},
    topic::{Key, Topic},
    tracer::{Attributes, Span, Spans, call},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, marker::PhantomData};
use tracing::span::EnteredSpan;

/// A record that will be sent when the transaction commits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// The topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: i32,
    /// The key's bytes; none only for a record that came without.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

impl Outgoing {
    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        bytes(&self.key) + bytes(&self.value) + self.headers.size()
    }
}

/// What may be put on a topic of `V`: a `V`, or what carries one and is owned more narrowly.
pub trait Fact<V> {
    /// The value to write.
    fn value(&self) -> &V;

    /// The event's name for `ce_type`.
    fn name(&self) -> &'static str;
}

impl<V: Message> Fact<V> for V {
    fn value(&self) -> &V {
        self
    }

    fn name(&self) -> &'static str {
        let full = self.schema().name();
        full.rsplit_once('.').map_or(full, |(_, name)| name)
    }
}

/// State changes and records to send, all or nothing.
pub struct Tx<'a, S> {
    store: &'a dyn Store,
    codec: &'a Codec,
    now: Timestamp,
    partition: i32,
    cause: Cause,
    /// Changes of the record at hand; they join `overlay` when it is done.
    scratch: Writes,
    scratch_outgoing: Vec<Outgoing>,
    scratch_latest: Vec<Outgoing>,
    overlay: BTreeMap<i32, Writes>,
    outgoing: Vec<Outgoing>,
    /// Of these, only the last one of a key is sent.
    latest: BTreeMap<(&'static str, Option<Vec<u8>>), Outgoing>,
    spans: Spans,
    /// What log lines say of the record at hand.
    story: Option<EnteredSpan>,
    /// A restore: what is sent is dropped.
    replay: bool,
    /// Where values are encoded.
    buffer: Vec<u8>,
    identity: PhantomData<S>,
}

impl<'a, S: Service> Tx<'a, S> {
    /// An empty transaction at the time `now`.
    pub fn new(store: &'a dyn Store, codec: &'a Codec, now: Timestamp) -> Self {
        Self {
            store,
            codec,
            now,
            partition: 0,
            cause: Cause::default(),
            scratch: Writes::new(),
            scratch_outgoing: Vec::new(),
            scratch_latest: Vec::new(),
            overlay: BTreeMap::new(),
            outgoing: Vec::new(),
            latest: BTreeMap::new(),
            spans: Spans::default(),
            story: None,
            replay: false,
            buffer: Vec::new(),
            identity: PhantomData,
        }
    }

    /// The same for a restore: state changes as ever, and whatever is sent is dropped.
    pub fn replay(store: &'a dyn Store, codec: &'a Codec, now: Timestamp) -> Self {
        Self { replay: true, ..Self::new(store, codec, now) }
    }

    /// The same with the spans of its batch.
    pub fn traced(self, spans: Spans) -> Self {
        Self { spans, ..self }
    }

    /// Open the span of a call to another system, as part of the trace of the record at hand.
    pub fn call(&self, name: &str, attributes: Attributes) -> Option<Box<dyn Span>> {
        if self.replay {
            return None;
        }
        call(self.cause.traceparent.as_deref(), name, attributes)
    }

    /// The spans of the batch.
    pub fn spans(&mut self) -> &mut Spans {
        &mut self.spans
    }

    /// Whether this is a restore: the record was decided on before, and what came of it is in the
    /// log.
    pub fn is_replay(&self) -> bool {
        self.replay
    }

    /// The time of this transaction. Processors read no clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The partition of the record at hand, whose state `get` and `put` see.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The message in `record`, which was read from `topic`.
    ///
    /// # Errors
    /// [`Failure::Poison`] with the cause; a tombstone is poison, too.
    pub fn decode<K, V: Message>(
        &self,
        topic: &Topic<K, V>,
        record: &Record,
    ) -> Result<V, Failure> {
        let bytes = record.value.as_deref();
        let bytes = bytes.ok_or_else(|| Failure::poison("the record has no value"))?;
        self.codec.decode(topic, bytes)
    }

    /// What encodes and decodes.
    pub fn codec(&self) -> &Codec {
        self.codec
    }

    /// The value of `key` in `table`, with what this transaction has changed.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when the store fails.
    pub fn get<V>(&self, table: &Table<V>, key: &[u8]) -> Result<Option<V>, Failure>
    where
        V: Serialize + DeserializeOwned,
    {
        let key = table.key(key);
        let overlay = self.overlay.get(&self.partition).and_then(|writes| writes.get(&key));
        let stored;
        let bytes = match self.scratch.get(&key).or(overlay) {
            Some(changed) => changed.as_deref(),
            None => {
                stored = self.store.get(self.partition, &key).map_err(Failure::Fatal)?;
                stored.as_deref()
            }
        };
        bytes.map(|bytes| Table::<V>::decode(bytes).map_err(Failure::Fatal)).transpose()
    }

    /// Set `key` of `table`.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when `value` cannot be encoded.
    pub fn put<V>(&mut self, table: &Table<V>, key: &[u8], value: &V) -> Result<(), Failure>
    where
        V: Serialize + DeserializeOwned,
    {
        let bytes = Table::<V>::encode(value, &mut self.buffer).map_err(Failure::Fatal)?;
        self.scratch.insert(table.key(key), Some(bytes));
        Ok(())
    }

    /// Remove `key` from `table`.
    pub fn delete<V>(&mut self, table: &Table<V>, key: &[u8])
    where
        V: Serialize + DeserializeOwned,
    {
        self.scratch.insert(table.key(key), None);
    }

    /// The keys of `table` below `to`, in order, `limit` at most, with what this transaction has
    /// changed.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when the store fails.
    pub fn keys_below<V>(
        &self,
        table: &Table<V>,
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Failure>
    where
        V: Serialize + DeserializeOwned,
    {
        let (from, to) = (table.key(&[]), table.key(to));
        let mut changed: Writes = BTreeMap::new();
        let overlay = self.overlay.get(&self.partition).into_iter();
        for writes in overlay.chain([&self.scratch]) {
            let range = writes.range(from.clone()..to.clone());
            changed.extend(range.map(|(key, value)| (key.clone(), value.clone())));
        }
        // Each removal may hide one stored key, so that many more must be looked at.
        let stored = self
            .store
            .range(self.partition, &from, &to, limit + changed.len())
            .map_err(Failure::Fatal)?;
        let stored = stored.into_iter().map(|(key, _)| key).filter(|k| !changed.contains_key(k));
        let added = changed.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.clone());
        let mut keys: Vec<_> = stored.chain(added).map(|key| key[1..].to_vec()).collect();
        keys.sort();
        keys.truncate(limit);
        Ok(keys)
    }

    /// Send `fact` to `topic` under `key` when the transaction commits. `S` must own it.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn send<K, V, F>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        fact: &F,
    ) -> Result<(), Failure>
    where
        K: Key,
        V: Message,
        F: Fact<V>,
        S: Owns<F>,
    {
        let outgoing = self.outgoing(topic, key, fact)?;
        self.scratch_outgoing.extend(outgoing);
        Ok(())
    }

    /// The same to a compacted topic, of which the last record of a key counts: of several in a
    /// transaction, the last one alone is sent. No reader can rely on the others, as compaction
    /// takes them away. What goes to a topic goes there by this or by [`Tx::send`].
    ///
    /// # Errors
    /// As [`Tx::send`].
    pub fn send_latest<K, V, F>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        fact: &F,
    ) -> Result<(), Failure>
    where
        K: Key,
        V: Message,
        F: Fact<V>,
        S: Owns<F>,
    {
        let outgoing = self.outgoing(topic, key, fact)?;
        self.scratch_latest.extend(outgoing);
        Ok(())
    }

    /// The record of `fact`; none in a restore.
    fn outgoing<K, V, F>(
        &self,
        topic: &'static Topic<K, V>,
        key: &K,
        fact: &F,
    ) -> Result<Option<Outgoing>, Failure>
    where
        K: Key,
        V: Message,
        F: Fact<V>,
    {
        if self.replay {
            return Ok(None);
        }
        let value = self.codec.encode(&topic.spec, fact.value())?;
        let key_bytes = key.to_bytes();
        let place = key.partition_by();
        let partition =
            partition_for(place.as_deref().unwrap_or(&key_bytes), topic.spec.partitions());
        let subject = String::from_utf8_lossy(&key_bytes);
        let headers = self.cause.headers::<S>(fact.name(), &subject, self.now);
        Ok(Some(Outgoing {
            topic: topic.name(),
            partition,
            key: Some(key_bytes),
            value: Some(value),
            headers,
        }))
    }

    /// Copy `record` to `topic`: the same partition, key, bytes and headers, as far as these may be
    /// taken over ([`Headers::bounded`]).
    pub fn forward<K, V>(&mut self, record: &Record, topic: &'static Topic<K, V>)
    where
        S: Owns<V>,
    {
        if self.replay {
            return;
        }
        let mut headers = record.headers.bounded();
        self.spans.follow(record, &mut headers);
        self.scratch_outgoing.push(Outgoing {
            topic: topic.name(),
            partition: record.partition,
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
        });
    }

    /// Begin with `record`: its partition's state, its headers as the cause of what is sent.
    pub fn begin(&mut self, record: &Record) {
        self.begin_partition(record.partition);
        self.cause = self.spans.process(record);
        self.tell(Some(record));
    }

    /// Begin with what time brings to `partition`.
    pub fn begin_partition(&mut self, partition: i32) {
        self.partition = partition;
        self.cause = Cause::default();
        self.story = None;
    }

    /// The record at hand is about the state of `partition`, wherever it stands.
    pub fn act_on(&mut self, partition: i32) {
        self.partition = partition;
    }

    /// For a decision that a stored story causes, not the record at hand: keep its thread.
    pub fn continue_story(&mut self, cause: Cause) {
        self.cause = cause;
        self.tell(None);
    }

    /// Log lines are about the cause at hand from now on. A restore has too many records for that,
    /// and what is decided there was told before.
    fn tell(&mut self, record: Option<&Record>) {
        self.story = None;
        if !self.replay {
            let Cause { correlation_id, traceparent, .. } = &self.cause;
            let story = S::story(correlation_id.as_deref(), traceparent.as_deref(), record);
            self.story = Some(story.entered());
        }
    }

    /// The record at hand is done: keep what it changed.
    pub fn keep(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        if !scratch.is_empty() {
            self.overlay.entry(self.partition).or_default().extend(scratch);
        }
        for Outgoing { topic, partition, headers, .. } in &mut self.scratch_outgoing {
            self.spans.send(topic, *partition, headers);
        }
        self.outgoing.append(&mut self.scratch_outgoing);
        for outgoing in self.scratch_latest.drain(..) {
            self.latest.insert((outgoing.topic, outgoing.key.clone()), outgoing);
        }
        self.story = None;
    }

    /// Take back what the record at hand has changed.
    pub fn drop_scratch(&mut self) {
        self.scratch.clear();
        self.scratch_outgoing.clear();
        self.scratch_latest.clear();
    }

    /// The record at hand is poison: take back what it changed, and send it to the dead letters.
    pub fn dead_letter(&mut self, record: &Record, cause: &str) {
        self.drop_scratch();
        self.spans.fail(record, cause);
        self.outgoing.push(dead_letter::<S>(record, cause, self.now));
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.latest.is_empty() && self.overlay.is_empty()
    }

    /// What to send, and what to change in the store, per partition; and the spans of it.
    pub fn into_parts(mut self) -> (Vec<Outgoing>, BTreeMap<i32, Writes>, Spans) {
        for mut outgoing in self.latest.into_values() {
            self.spans.send(outgoing.topic, outgoing.partition, &mut outgoing.headers);
            self.outgoing.push(outgoing);
        }
        (self.outgoing, self.overlay, self.spans)
    }
}

#[cfg(test)]
mod tests;
