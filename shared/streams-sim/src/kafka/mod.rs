//! A model of Kafka: partitioned logs, transactions with fencing, consumer groups. What matters is
//! in it: markers that come late, offsets that are not stable yet, producers and members that have
//! been replaced and do not know it. Compaction, replication and brokers are not.

mod consumer;
mod group;
mod partition;
#[cfg(test)]
mod tests;

pub(crate) use consumer::Consumer;
pub(crate) use group::Membership;

use fastrand::Rng;
use group::Group;
use partition::{Fate, Partition, TransactionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use streams::{
    Outgoing, Record, Timestamp, engine::Offsets, limits::MESSAGE_BYTES_MAX,
    partition::partition_for, topic::TopicSpec,
};

/// A topic, by its place in the list that the cluster was made of.
pub(crate) type Topic = usize;

/// Why Kafka says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A younger producer has the transactional id.
    Fenced,
    /// The member has been thrown out, or knows an old generation.
    IllegalGeneration,
    /// The record is larger than a topic takes.
    TooLarge,
}

/// What a batch with one record has besides key, value and headers, roughly.
const FRAME_BYTES: usize = 100;

/// Whether a record is as small as a topic asks for.
pub fn takes(outgoing: &Outgoing) -> bool {
    outgoing.size() + FRAME_BYTES <= MESSAGE_BYTES_MAX
}

/// A transaction that is not complete.
struct Transaction {
    id: TransactionId,
    touched: BTreeSet<(Topic, i32)>,
    offsets: BTreeMap<&'static str, Offsets>,
    /// Decided: these markers are still to be written, and then the offsets.
    fate: Fate,
    begun_at: Timestamp,
}

#[derive(Default)]
struct Producer {
    epoch: u32,
    transaction: Option<Transaction>,
}

/// The cluster.
pub struct Kafka {
    names: Vec<Arc<str>>,
    logs: Vec<Vec<Partition>>,
    producers: BTreeMap<String, Producer>,
    groups: BTreeMap<&'static str, Group>,
    transactions: TransactionId,
    /// Requests to commit that are still on their way: the producer's id and epoch.
    delayed: Vec<(String, u32)>,
    /// Mutation: readers see what is not committed.
    pub(crate) uncommitted: bool,
    /// Mutation: Kafka fences no producer.
    pub(crate) unfenced: bool,
}

impl Kafka {
    /// A cluster with these topics, empty.
    pub(crate) fn new(topics: &[&TopicSpec]) -> Self {
        let empty = |topic: &&TopicSpec| {
            (0..topic.partitions()).map(|_| Partition::default()).collect::<Vec<_>>()
        };
        Self {
            names: topics.iter().map(|topic| topic.name.into()).collect(),
            logs: topics.iter().map(empty).collect(),
            producers: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: 0,
            delayed: Vec::new(),
            uncommitted: false,
            unfenced: false,
        }
    }

    /// The topic called `name`.
    pub(crate) fn topic(&self, name: &str) -> Topic {
        let found = self.names.iter().position(|known| &**known == name);
        found.unwrap_or_else(|| panic!("the simulated Kafka has no topic {name}"))
    }

    /// The name of `topic`.
    pub(crate) fn name(&self, topic: Topic) -> &Arc<str> {
        &self.names[topic]
    }

    fn partition(&self, topic: Topic, partition: i32) -> &Partition {
        &self.logs[topic][partition as usize]
    }

    fn partition_mut(&mut self, topic: Topic, partition: i32) -> &mut Partition {
        &mut self.logs[topic][partition as usize]
    }

    /// Append without a transaction, to the partition of the key. Gives its address.
    pub(crate) fn append(&mut self, outgoing: Outgoing, now: Timestamp) -> (i32, i64) {
        let topic = self.topic(outgoing.topic);
        let key = outgoing.key.as_deref().unwrap_or_default();
        let partition = partition_for(key, self.logs[topic].len() as i32);
        let record = self.record(Outgoing { partition, ..outgoing }, now);
        (partition, self.partition_mut(topic, partition).append(record, None))
    }

    fn record(&self, outgoing: Outgoing, now: Timestamp) -> Record {
        let Outgoing { topic, partition, key, value, headers } = outgoing;
        let topic = Arc::clone(self.name(self.topic(topic)));
        let (offset, timestamp_ms) = (0, now.millis());
        Record { topic, partition, offset, timestamp_ms, key, value, headers }
    }

    // ---------------------------------------------------------------------------------- readers

    /// Up to `max` records of a partition from `from` on, and where to go on.
    pub(crate) fn read(
        &self,
        topic: Topic,
        partition: i32,
        from: i64,
        max: usize,
    ) -> (Vec<&Record>, i64) {
        self.partition(topic, partition).read(from, max, self.uncommitted)
    }

    /// What can be read of a partition from `from` on, committed records alone, and where to go on.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn news(&self, topic: &str, partition: i32, from: i64) -> (Vec<&Record>, i64) {
        self.partition(self.topic(topic), partition).read(from, usize::MAX, false)
    }

    /// The end of a partition, once no transaction on it is open.
    pub(crate) fn decided_end(&self, topic: Topic, partition: i32) -> Option<i64> {
        let partition = self.partition(topic, partition);
        let is_decided = self.uncommitted || partition.stable_end() == partition.end();
        is_decided.then(|| partition.end())
    }

    /// How far a partition can be read.
    pub(crate) fn readable_end(&self, topic: Topic, partition: i32) -> i64 {
        let partition = self.partition(topic, partition);
        if self.uncommitted { partition.end() } else { partition.stable_end() }
    }

    /// Where each partition of a topic begins.
    ///
    /// # Panics
    /// If the cluster was made without the topic.
    pub fn begins(&self, topic: &str) -> Vec<(i32, i64)> {
        (0..).zip(self.logs[self.topic(topic)].iter().map(Partition::begin)).collect()
    }

    /// Delete all records of a partition that are decided, as an operator could.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn delete_records(&mut self, topic: &str, partition: i32) {
        let topic = self.topic(topic);
        self.partition_mut(topic, partition).delete();
    }

    /// Of `positions`, those that are no longer in the log: where it begins now.
    pub(crate) fn overtaken(&self, positions: &Offsets) -> Offsets {
        let begin = |topic: &str, partition| self.partition(self.topic(topic), partition).begin();
        let starts = positions.iter().filter_map(|((topic, partition), position)| {
            let begin = begin(topic, *partition);
            (*position < begin).then(|| ((topic.clone(), *partition), begin))
        });
        starts.collect()
    }

    /// Every committed record of a topic, by partition and offset.
    ///
    /// # Panics
    /// If the cluster was made without the topic.
    pub fn committed(&self, topic: &str) -> Vec<&Record> {
        let logs = &self.logs[self.topic(topic)];
        logs.iter().flat_map(|partition| partition.read(0, usize::MAX, false).0).collect()
    }

    /// Tells two runs apart: every committed record, but for the ids that are made up for headers,
    /// also where a value has kept them.
    pub(crate) fn digest(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for record in self.names.iter().flat_map(|name| self.committed(name)) {
            (&record.topic, record.partition, record.offset).hash(&mut hash);
            (record.timestamp_ms, &record.key).hash(&mut hash);
            record.value.as_deref().map(without_ids).hash(&mut hash);
        }
        hash.finish()
    }

    // ----------------------------------------------------------------------------------- groups

    /// The group of a processor.
    pub(crate) fn group(&mut self, name: &'static str) -> &mut Group {
        self.groups.entry(name).or_default()
    }

    /// Join a group that reads `topics`; these have the same number of partitions.
    fn join(
        &mut self,
        dice: &mut Rng,
        group: &'static str,
        instance: u32,
        topics: &[Topic],
    ) -> Membership {
        let partitions = topics.iter().map(|topic| self.logs[*topic].len() as i32).max();
        let group = self.group(group);
        group.read(partitions.unwrap_or_default());
        group.join(instance, dice)
    }

    /// Where `group` has got to on partition number `partition` of `topics`; none while a
    /// transaction with offsets of it is not complete (KIP-447).
    pub(crate) fn group_offsets(
        &self,
        group: &'static str,
        topics: &[Topic],
        partition: i32,
    ) -> Option<Offsets> {
        let places: Vec<_> =
            topics.iter().map(|topic| (self.names[*topic].to_string(), partition)).collect();
        let mut transactions = self.producers.values().filter_map(|p| p.transaction.as_ref());
        let pending = |transaction: &Transaction| {
            let offsets = transaction.offsets.get(group);
            offsets.is_some_and(|offsets| places.iter().any(|place| offsets.contains_key(place)))
        };
        if transactions.any(pending) {
            return None;
        }
        let known = self.groups.get(group).map(|group| &group.offsets);
        let offset = |place: (String, i32)| {
            let next = known.and_then(|known| known.get(&place)).copied().unwrap_or(0);
            (place, next)
        };
        Some(places.into_iter().map(offset).collect())
    }

    /// Commit offsets without a transaction.
    pub(crate) fn commit_offsets(
        &mut self,
        group: &'static str,
        membership: Membership,
        offsets: Offsets,
    ) -> Result<(), Refusal> {
        let unfenced = self.unfenced;
        let group = self.group(group);
        if !unfenced && !group.accepts(membership) {
            return Err(Refusal::IllegalGeneration);
        }
        group.offsets.extend(offsets);
        Ok(())
    }

    // ----------------------------------------------------------------------------- transactions

    /// Fence the producer of `id`, and end its open transaction. Returns the new epoch.
    pub(crate) fn init_transactions(&mut self, id: &str) -> u32 {
        self.complete(id);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        let epoch = producer.epoch;
        self.end(id, Fate::Aborted);
        self.complete(id);
        epoch
    }

    fn producer(&mut self, id: &str, epoch: u32) -> Result<&mut Producer, Refusal> {
        let unfenced = self.unfenced;
        let producer = self.producers.entry(id.to_owned()).or_default();
        if producer.epoch == epoch || unfenced { Ok(producer) } else { Err(Refusal::Fenced) }
    }

    /// Begin a transaction. The markers of the one before are written first: the client waits.
    pub(crate) fn begin(&mut self, id: &str, epoch: u32, now: Timestamp) -> Result<(), Refusal> {
        self.producer(id, epoch)?;
        self.complete(id);
        self.transactions += 1;
        let transaction = Transaction {
            id: self.transactions,
            touched: BTreeSet::new(),
            offsets: BTreeMap::new(),
            fate: Fate::Open,
            begun_at: now,
        };
        self.producer(id, epoch)?.transaction = Some(transaction);
        Ok(())
    }

    /// Send a record in the transaction that was begun.
    pub(crate) fn send(
        &mut self,
        id: &str,
        epoch: u32,
        outgoing: Outgoing,
        now: Timestamp,
    ) -> Result<i64, Refusal> {
        if !takes(&outgoing) {
            return Err(Refusal::TooLarge);
        }
        let record = self.record(outgoing, now);
        let (topic, partition) = (self.topic(&record.topic), record.partition);
        let transaction = self.producer(id, epoch)?.transaction.as_mut();
        let transaction = transaction.filter(|transaction| transaction.fate == Fate::Open);
        let transaction = transaction.ok_or(Refusal::Fenced)?;
        transaction.touched.insert((topic, partition));
        let transaction = Some(transaction.id);
        Ok(self.partition_mut(topic, partition).append(record, transaction))
    }

    /// Send a record for itself, as a producer without transactions does; a mutation.
    pub(crate) fn send_alone(&mut self, outgoing: Outgoing, now: Timestamp) -> i64 {
        let record = self.record(outgoing, now);
        let (topic, partition) = (self.topic(&record.topic), record.partition);
        self.partition_mut(topic, partition).append(record, None)
    }

    /// Add offsets to the transaction that was begun.
    pub(crate) fn send_offsets(
        &mut self,
        (id, epoch): (&str, u32),
        group: &'static str,
        membership: Membership,
        offsets: Offsets,
    ) -> Result<(), Refusal> {
        let unfenced = self.unfenced;
        if !unfenced && !self.group(group).accepts(membership) {
            return Err(Refusal::IllegalGeneration);
        }
        let transaction = self.producer(id, epoch)?.transaction.as_mut();
        let transaction = transaction.ok_or(Refusal::Fenced)?;
        transaction.offsets.entry(group).or_default().extend(offsets);
        Ok(())
    }

    /// Commit: from here on the transaction counts, and its markers are to be written. The same
    /// request again has the same answer.
    pub(crate) fn commit(&mut self, id: &str, epoch: u32) -> Result<(), Refusal> {
        let producer = self.producer(id, epoch)?;
        match &producer.transaction {
            Some(transaction) if transaction.fate == Fate::Aborted => return Err(Refusal::Fenced),
            Some(_) | None => {}
        }
        self.end(id, Fate::Committed);
        Ok(())
    }

    /// A request to commit stays on its way for a while.
    pub(crate) fn delay_commit(&mut self, id: &str, epoch: u32) {
        self.delayed.push((id.to_owned(), epoch));
    }

    /// Whether a request to commit of this producer is still on its way.
    pub(crate) fn is_late(&self, id: &str, epoch: u32) -> bool {
        self.delayed.iter().any(|(late, of)| late == id && *of == epoch)
    }

    /// A request that was on its way arrives, sooner where it does harm: it commits whatever its
    /// producer has open by now, if its epoch is the same (KAFKA-17754).
    pub(crate) fn deliver_delayed(&mut self, dice: &mut Rng) {
        let is_harmful = |(id, epoch): &(String, u32)| {
            let producer = self.producers.get(id).filter(|producer| producer.epoch == *epoch);
            let open = producer.and_then(|producer| producer.transaction.as_ref());
            open.is_some_and(|open| open.fate == Fate::Open && !open.touched.is_empty())
        };
        let odds = |delayed: &(String, u32)| if is_harmful(delayed) { 2 } else { 200 };
        let chosen = self.delayed.iter().position(|delayed| dice.u32(0..odds(delayed)) == 0);
        if let Some(chosen) = chosen {
            let (id, epoch) = self.delayed.swap_remove(chosen);
            // No client waits for the answer.
            let _ = self.commit(&id, epoch);
            self.complete(&id);
        }
    }

    /// Abort what was begun. What is committed already stays so.
    pub(crate) fn abort(&mut self, id: &str, epoch: u32) -> Result<(), Refusal> {
        self.producer(id, epoch)?;
        self.end(id, Fate::Aborted);
        self.complete(id);
        Ok(())
    }

    fn end(&mut self, id: &str, fate: Fate) {
        let transaction = self.producers.get_mut(id).and_then(|p| p.transaction.as_mut());
        if let Some(transaction) = transaction.filter(|known| known.fate == Fate::Open) {
            transaction.fate = fate;
        }
    }

    /// The transactional ids with a transaction that is decided but not complete.
    pub(crate) fn incomplete(&self) -> Vec<String> {
        let decided = self.producers.iter().filter(|(_, producer)| {
            producer.transaction.as_ref().is_some_and(|known| known.fate != Fate::Open)
        });
        decided.map(|(id, _)| id.clone()).collect()
    }

    /// Whether each transaction that is decided shows whole: all of its markers are written.
    pub fn is_whole(&self) -> bool {
        self.incomplete().is_empty()
    }

    /// Abort transactions open for longer than `timeout`, and fence their producers.
    pub(crate) fn expire(&mut self, now: Timestamp, timeout: Duration) {
        let late = |producer: &Producer| {
            let open = producer.transaction.as_ref().filter(|known| known.fate == Fate::Open);
            open.is_some_and(|known| now - known.begun_at > timeout)
        };
        let late: Vec<String> =
            self.producers.iter().filter(|(_, p)| late(p)).map(|(id, _)| id.clone()).collect();
        for id in late {
            self.init_transactions(&id);
        }
    }

    /// Write one of the markers that are due for `id`, or at last its offsets.
    pub(crate) fn complete_one(&mut self, id: &str, dice: &mut Rng) {
        let transaction = self.producers.get_mut(id).and_then(|p| p.transaction.as_mut());
        let Some(transaction) = transaction.filter(|known| known.fate != Fate::Open) else {
            return;
        };
        let nth = dice.usize(0..transaction.touched.len().max(1));
        let place = transaction.touched.iter().nth(nth).copied();
        match place {
            Some(place) => {
                transaction.touched.remove(&place);
                let (id, fate) = (transaction.id, transaction.fate);
                self.partition_mut(place.0, place.1).decide(id, fate);
            }
            None => self.complete(id),
        }
    }

    /// Write all markers that are due for `id`, and its offsets.
    pub(crate) fn complete(&mut self, id: &str) {
        let Some(producer) = self.producers.get_mut(id) else { return };
        let Some(transaction) = producer.transaction.take_if(|known| known.fate != Fate::Open)
        else {
            return;
        };
        for (topic, partition) in transaction.touched {
            self.partition_mut(topic, partition).decide(transaction.id, transaction.fate);
        }
        if transaction.fate == Fate::Committed {
            for (group, offsets) in transaction.offsets {
                self.group(group).offsets.extend(offsets);
            }
        }
    }
}

/// `value` without texts of the form of a UUID of version 7 (RFC 9562), as `ce_id` has it: the
/// clock of the machine goes into them.
fn without_ids(value: &[u8]) -> Vec<u8> {
    const LENGTH: usize = 36;
    let is_id = |text: &[u8]| {
        let hyphens = [8, 13, 18, 23].iter().all(|place| text[*place] == b'-');
        hyphens && text[14] == b'7' && text.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
    };
    let (mut rest, mut kept) = (value, Vec::with_capacity(value.len()));
    while let Some((first, others)) = rest.split_first() {
        if rest.get(..LENGTH).is_some_and(is_id) {
            rest = &rest[LENGTH..];
        } else {
            kept.push(*first);
            rest = others;
        }
    }
    kept
}
