//! [`Tx`]: the effects of a processor on a batch, collected before any of them happens.
//!
//! A transaction gathers state changes in an overlay and the records to send in a list. Nothing
//! reaches the store or the broker until the engine commits, so dropping a `Tx` undoes everything.
//! Within it each record has a savepoint: poison takes back only its own changes.

use crate::{
    Codec, Failure, Owns, Record, Service, Table, Timestamp,
    avro::Message,
    limits::{CAUSE_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, clip},
    lineage::Cause,
    partition::partition_for,
    record::{Header, Headers, names},
    store::{Store, Writes},
    topic::{Key, Topic, TopicSpec},
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
    overlay: BTreeMap<i32, Writes>,
    outgoing: Vec<Outgoing>,
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
            overlay: BTreeMap::new(),
            outgoing: Vec::new(),
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
        if self.replay {
            return Ok(());
        }
        let value = self.codec.encode(&topic.spec, fact.value())?;
        let key_bytes = key.to_bytes();
        let place = key.partition_by();
        let partition =
            partition_for(place.as_deref().unwrap_or(&key_bytes), topic.spec.partitions());
        let subject = String::from_utf8_lossy(&key_bytes);
        let headers = self.cause.headers::<S>(fact.name(), &subject, self.now);
        self.scratch_outgoing.push(Outgoing {
            topic: topic.name(),
            partition,
            key: Some(key_bytes),
            value: Some(value),
            headers,
        });
        Ok(())
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
        self.story = None;
    }

    /// Take back what the record at hand has changed.
    pub fn drop_scratch(&mut self) {
        self.scratch.clear();
        self.scratch_outgoing.clear();
    }

    /// The record at hand is poison: take back what it changed, and send it to the dead letters.
    pub fn dead_letter(&mut self, record: &Record, cause: &str) {
        self.drop_scratch();
        self.spans.fail(record, cause);
        self.outgoing.push(dead_letter::<S>(record, cause, self.now));
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.overlay.is_empty()
    }

    /// What to send, and what to change in the store, per partition.
    pub fn into_parts(self) -> (Vec<Outgoing>, BTreeMap<i32, Writes>) {
        (self.outgoing, self.overlay)
    }
}

/// The dead letter for `record`: its bytes and headers, and headers that say why. It always fits on
/// its topic: what is too large for that is cut. Then it says how large the record was, and its
/// digest; the whole record is at its address for as long as its topic keeps it.
pub fn dead_letter<S: Service>(record: &Record, cause: &str, at: Timestamp) -> Outgoing {
    dead_letter_of(S::NAME, S::dead_letters(), record, cause, at)
}

/// The same for the service of this name, whose dead letters are on `topic`.
pub fn dead_letter_of(
    service: &str,
    topic: &TopicSpec,
    record: &Record,
    cause: &str,
    at: Timestamp,
) -> Outgoing {
    // What a stranger says in our names is not so.
    let is_strange = |(name, _): &Header| !name.starts_with(dlq_names::PREFIX);
    let strange = record.headers.0.iter().filter(|header| is_strange(header)).count();
    let mut headers = record.headers.bounded();
    headers.0.retain(is_strange);
    let key = clipped(record.key.as_deref(), KEY_BYTES_MAX);
    let value = clipped(record.value.as_deref(), VALUE_BYTES_MAX);
    if (headers.0.len(), key, value) != (strange, record.key.as_deref(), record.value.as_deref()) {
        mark_cut(&mut headers, record);
    }
    headers.push(dlq_names::CAUSE, clip(cause, CAUSE_BYTES_MAX));
    headers.push(dlq_names::TOPIC, &*record.topic);
    headers.push(dlq_names::PARTITION, record.partition.to_string());
    headers.push(dlq_names::OFFSET, record.offset.to_string());
    headers.push(dlq_names::SERVICE, service);
    headers.push(dlq_names::TIME, at.rfc3339());
    if headers.get(names::CAUSATION_ID).is_none() {
        headers.push(names::CAUSATION_ID, record.address());
    }
    Outgoing {
        topic: topic.name,
        partition: record.partition.rem_euclid(topic.partitions()),
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers,
    }
}

/// Make the headers of a dead letter say that it is not the whole `record`: how large that was, and
/// its digest, once.
pub fn mark_cut(headers: &mut Headers, record: &Record) {
    if headers.get(dlq_names::SHA256).is_none() {
        headers.push(dlq_names::BYTES, record.size().to_string());
        headers.push(dlq_names::SHA256, record.digest());
    }
}

/// The beginning of `bytes`, `max` at most.
fn clipped(bytes: Option<&[u8]>, max: usize) -> Option<&[u8]> {
    bytes.map(|bytes| &bytes[..bytes.len().min(max)])
}

/// Headers that a dead letter has besides its own.
pub mod dlq_names {
    /// How all of them begin.
    pub const PREFIX: &str = "dlq_";
    /// Why the record could not be handled.
    pub const CAUSE: &str = "dlq_cause";
    /// Where it stood: topic.
    pub const TOPIC: &str = "dlq_topic";
    /// Where it stood: partition.
    pub const PARTITION: &str = "dlq_partition";
    /// Where it stood: offset.
    pub const OFFSET: &str = "dlq_offset";
    /// The service that could not handle it.
    pub const SERVICE: &str = "dlq_service";
    /// When, RFC 3339.
    pub const TIME: &str = "dlq_time";
    /// An operator has passed the record by: nothing comes of it, also in a restore.
    pub const PASSED: &str = "dlq_passed";
    /// Of a letter that has not all of its record: how many bytes that had in key, value and
    /// headers.
    pub const BYTES: &str = "dlq_bytes";
    /// Of a letter that has not all of its record: that one's [`digest`](crate::Record::digest).
    pub const SHA256: &str = "dlq_sha256";
}

#[cfg(test)]
mod tests;
