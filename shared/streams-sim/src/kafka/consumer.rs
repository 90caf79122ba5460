//! A member of a consumer group: what it owns, and how far it has read.

use super::{Kafka, Membership, Refusal, Topic};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use streams::engine::{Offsets, Polled};

/// A consumer of one instance.
pub(crate) struct Consumer {
    group: &'static str,
    instance: u32,
    topics: Vec<Topic>,
    membership: Membership,
    owned: BTreeSet<i32>,
    /// Given to us, and not told yet.
    assigned: BTreeSet<i32>,
    /// The next record to read.
    positions: BTreeMap<(Topic, i32), i64>,
}

impl Consumer {
    /// Join `group`.
    pub(crate) fn join(
        kafka: &mut Kafka,
        dice: &mut Rng,
        group: &'static str,
        instance: u32,
        topics: Vec<Topic>,
    ) -> Self {
        let membership = kafka.join(dice, group, instance, &topics);
        let (owned, positions) = (BTreeSet::new(), BTreeMap::new());
        let mut consumer = Self {
            group,
            instance,
            topics,
            membership,
            assigned: BTreeSet::new(),
            owned,
            positions,
        };
        // An assignment is news to a member that has none.
        consumer.serve(kafka, dice, true);
        consumer
    }

    /// Serve what the group has decided since the last poll: eager, so all partitions at once.
    fn serve(&mut self, kafka: &mut Kafka, dice: &mut Rng, joined: bool) {
        let Some((membership, owned)) = kafka.group(self.group).poll(self.membership) else {
            // Thrown out: the client joins again by itself.
            self.membership = kafka.join(dice, self.group, self.instance, &self.topics);
            return self.serve(kafka, dice, true);
        };
        if joined || self.membership != membership {
            self.membership = membership;
            self.assigned.clone_from(&owned);
            self.positions.clear();
            self.owned = owned;
        }
    }

    /// Read up to `max` records, from any of our partitions in any order.
    pub(crate) fn poll(&mut self, kafka: &mut Kafka, dice: &mut Rng, max: usize) -> Polled {
        self.serve(kafka, dice, false);
        self.begin_where_the_group_is(kafka);
        let mut places: Vec<(Topic, i32)> = self.positions.keys().copied().collect();
        dice.shuffle(&mut places);
        let (mut left, mut records) = (max, Vec::new());
        for place in places {
            let Some(position) = self.positions.get_mut(&place) else { continue };
            let readable = kafka.readable_end(place.0, place.1);
            if left == 0 || *position >= readable {
                continue;
            }
            let max = dice.usize(1..=left);
            let (read, next) = kafka.read(place.0, place.1, *position, max);
            left -= read.len();
            records.extend(read.into_iter().cloned());
            *position = next;
        }
        Polled {
            owned: self.owned.clone(),
            assigned: std::mem::take(&mut self.assigned),
            records,
            ..Polled::default()
        }
    }

    /// A partition is read from the group's offsets, once no transaction with some is pending.
    fn begin_where_the_group_is(&mut self, kafka: &Kafka) {
        for partition in self.owned.clone() {
            if self.topics.iter().all(|topic| self.positions.contains_key(&(*topic, partition))) {
                continue;
            }
            if let Some(offsets) = kafka.group_offsets(self.group, &self.topics, partition) {
                self.seek(kafka, offsets);
            }
        }
    }

    /// Whether records were deleted that would have come next.
    pub(crate) fn is_overtaken(&self, kafka: &Kafka) -> bool {
        let position = |((topic, partition), offset): (&(Topic, i32), &i64)| {
            ((kafka.name(*topic).to_string(), *partition), *offset)
        };
        !kafka.overtaken(&self.positions.iter().map(position).collect()).is_empty()
    }

    /// Read on from there.
    pub(crate) fn seek(&mut self, kafka: &Kafka, offsets: Offsets) {
        for ((topic, partition), offset) in offsets {
            self.positions.insert((kafka.topic(&topic), partition), offset);
        }
    }

    /// Where the group is on `partition` of every topic; none while a transaction is pending.
    pub(crate) fn group_offsets(&self, kafka: &Kafka, partition: i32) -> Option<Offsets> {
        kafka.group_offsets(self.group, &self.topics, partition)
    }

    /// Commit offsets without a transaction.
    pub(crate) fn commit(&mut self, kafka: &mut Kafka, offsets: Offsets) -> Result<(), Refusal> {
        kafka.commit_offsets(self.group, self.membership, offsets.clone())?;
        // Past what was deleted and made up for.
        for ((topic, partition), offset) in offsets {
            let position = self.positions.entry((kafka.topic(&topic), partition)).or_insert(offset);
            *position = offset.max(*position);
        }
        Ok(())
    }

    /// Add offsets to the transaction of `producer`.
    pub(crate) fn send_offsets(
        &self,
        kafka: &mut Kafka,
        producer: (&str, u32),
        offsets: Offsets,
    ) -> Result<(), Refusal> {
        kafka.send_offsets(producer, self.group, self.membership, offsets)
    }
}
