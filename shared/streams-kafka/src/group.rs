//! [`GroupReader`]: a member of a consumer group that reads batches and knows what it owns.

use crate::{
    ConsumerSettings,
    client::{Ends, GroupEvent, ReaderContext, TopicNames, member_config, to_record},
    meters::{LAG_INTERVAL, Lags},
    partitions::Partitions,
};
use anyhow::Context;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata},
    error::KafkaError,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use streams::{
    Record, Timestamp,
    engine::{Offsets, Polled},
    limits::{BATCH_BYTES_MAX, CALL_TIMEOUT, IDLE, LATER},
    topic::TopicSpec,
};
use tracing::debug;

/// How often a reader that must know looks whether it has read everything.
const ENDS_INTERVAL_MS: &str = "500";

/// How often a member looks whether its topics have other partitions than before. Seldom: its
/// broker answers one request after the other, and the fetch before may wait for half a second.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Reads the input topics of a processor in batches. Rebalances happen while it polls and never
/// while a batch is worked on, so a batch holds records of owned partitions only.
pub(crate) struct GroupReader {
    consumer: BaseConsumer<ReaderContext>,
    settings: ConsumerSettings,
    topics: Vec<&'static TopicSpec>,
    names: TopicNames,
    owned: BTreeSet<(String, i32)>,
    /// Partition numbers that were assigned and have not been asked for yet.
    fresh: BTreeSet<i32>,
    /// What else a task has: the topics that are written, and those of the state.
    besides: Vec<&'static TopicSpec>,
    partitions: Partitions,
    looked_at: Instant,
    /// The next offset of each partition that was read from.
    expected: BTreeMap<(String, i32), i64>,
}

impl GroupReader {
    /// Join the group that reads `topics`. Fails while one of them, or of those that a task has
    /// `besides`, does not exist or has too few partitions, and with
    /// [`WrongCount`](crate::partitions::WrongCount) if the setting is wrong.
    pub(crate) fn join(
        settings: &ConsumerSettings,
        topics: Vec<&'static TopicSpec>,
        besides: &[&'static TopicSpec],
        lags: Lags,
    ) -> anyhow::Result<Self> {
        let mut config = member_config(&settings.bootstrap, settings.name, &settings.member())?;
        let lag_interval_ms = LAG_INTERVAL.as_millis().to_string();
        let interval = if settings.report_ends { ENDS_INTERVAL_MS } else { &lag_interval_ms };
        config.set("statistics.interval.ms", interval);
        let consumer: BaseConsumer<ReaderContext> =
            config.create_with_context(ReaderContext::with_lags(lags))?;
        let partitions = Partitions::ask(&consumer, topics.iter().chain(besides).copied())
            .map_err(|error| consumer.context().heard().explain_of(&consumer, error))
            .with_context(|| format!("Kafka at {}", settings.bootstrap))?;
        partitions.agree()?;
        partitions.suffice()?;
        consumer.context().deal_by(partitions.among(&topics));
        let names: Vec<_> = topics.iter().map(|topic| topic.name).collect();
        consumer.subscribe(&names)?;
        Ok(Self {
            consumer,
            settings: settings.clone(),
            topics,
            names: TopicNames::default(),
            owned: BTreeSet::new(),
            fresh: BTreeSet::new(),
            besides: besides.to_vec(),
            partitions,
            looked_at: Instant::now(),
            expected: BTreeMap::new(),
        })
    }

    /// Poll until the input is drained, the batch is full, or the wait is over. It lasts longer
    /// while no record is awaited.
    ///
    /// # Errors
    /// When the member is fenced, the topics have other partitions than before, or records were
    /// deleted before they were read: a new member finds out what that means.
    pub(crate) fn poll(&mut self, is_awaited: impl Fn(&Record) -> bool) -> anyhow::Result<Polled> {
        self.look_at_partitions()?;
        let (mut until, mut hurries) = (Instant::now() + IDLE, false);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut place = (String::new(), 0);
        while batch.len() < self.settings.batch_records_max && bytes < BATCH_BYTES_MAX {
            let left = until.saturating_duration_since(Instant::now());
            let polled = self.consumer.poll(whole_millis(left));
            let record = match polled {
                Some(Ok(message)) => Some(to_record(&message, &mut self.names)),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    anyhow::bail!("the consumer is fenced: {code}")
                }
                Some(Err(error)) => {
                    debug!("{}: {error}", self.settings.name);
                    if let Some(why) = self.consumer.context().heard().take() {
                        // New clients have the password of now, and the rights.
                        anyhow::bail!("{why}");
                    }
                    None
                }
                None if left.is_zero() || hurries => {
                    self.serve_events(&mut batch);
                    break;
                }
                None => None,
            };
            self.serve_events(&mut batch);
            if let Some(record) = record {
                if batch.is_empty() {
                    until = Instant::now() + LATER;
                }
                if !hurries && is_awaited(&record) {
                    (until, hurries) = (Instant::now() + self.settings.batch_wait, true);
                }
                // A record of a partition that was just taken away may still be in the queue.
                if (&*place.0, place.1) != (&*record.topic, record.partition) {
                    place = (record.topic.to_string(), record.partition);
                }
                if self.owned.contains(&place) {
                    self.look_for_gap(&place, record.offset)?;
                    bytes += record.size();
                    batch.push(record);
                }
            }
        }
        let outage = if batch.is_empty() { self.outage() } else { None };
        let lags = self.consumer.context().lags();
        lags.read(&batch);
        lags.settle(&self.expected);
        Ok(Polled {
            owned: self.partitions(),
            assigned: std::mem::take(&mut self.fresh),
            caught_up: self.caught_up(),
            records: batch,
            tick: false,
            outage,
        })
    }

    /// The partition numbers of which every input was read to its end, as far as the statistics of
    /// the client have said since the last call, and when.
    fn caught_up(&self) -> BTreeMap<i32, Timestamp> {
        let Some(Ends { at, reached }) = self.consumer.context().take_ends() else {
            return BTreeMap::new();
        };
        let is_at_end = |partition: &i32| {
            let mut owned = self.owned.iter().filter(|(_, owned)| owned == partition);
            owned.all(|place| reached.contains(place))
        };
        self.partitions().into_iter().filter(is_at_end).map(|partition| (partition, at)).collect()
    }

    /// The partition numbers that are ours, of those that have a state.
    pub(crate) fn partitions(&self) -> BTreeSet<i32> {
        let numbers = self.owned.iter().map(|(_, partition)| *partition);
        numbers.filter(|partition| self.is_task(*partition)).collect()
    }

    fn is_task(&self, partition: i32) -> bool {
        self.topics.iter().any(|topic| partition < topic.partitions())
    }

    /// Which topics have more partitions than their contracts say.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.partitions.remarks()
    }

    /// Whether the topics still have the partitions that they had. While Kafka is away that is
    /// not known.
    fn look_at_partitions(&mut self) -> anyhow::Result<()> {
        if self.looked_at.elapsed() < LOOK_INTERVAL {
            return Ok(());
        }
        self.looked_at = Instant::now();
        let topics = self.topics.iter().chain(&self.besides).copied();
        if let Some(now) = Partitions::look(&self.consumer, topics)? {
            anyhow::ensure!(now == self.partitions, "the partitions of a topic have changed");
        }
        Ok(())
    }

    /// Markers of transactions have offsets as well, so a gap alone says nothing: the beginning of
    /// the log does.
    fn look_for_gap(&mut self, place: &(String, i32), offset: i64) -> anyhow::Result<()> {
        const MARKERS: i64 = 2;
        if let Some(expected) = self.expected.get(place).copied()
            && offset > expected + MARKERS
        {
            let (topic, partition) = place;
            let (start, _) = self.consumer.fetch_watermarks(topic, *partition, CALL_TIMEOUT)?;
            anyhow::ensure!(
                start <= expected,
                "the offsets {expected} to {} of {topic}/{partition} were deleted",
                start - 1
            );
        }
        match self.expected.get_mut(place) {
            Some(next) => *next = offset + 1,
            None => drop(self.expected.insert(place.clone(), offset + 1)),
        }
        Ok(())
    }

    /// Whether Kafka has gone from sight since the last call, and is still gone.
    fn outage(&self) -> Option<String> {
        if !self.consumer.context().take_outage() {
            return None;
        }
        let topic = self.topics.first().map(|topic| topic.name);
        let error = self.consumer.fetch_metadata(topic, Duration::from_secs(1)).err()?;
        Some(format!("Kafka at {}: {error}", self.settings.bootstrap))
    }

    /// Where the group has got to on partition number `partition`; 0 where it has not begun. Waits
    /// for the offsets of a pending transaction (KIP-447).
    pub(crate) fn committed(&mut self, partition: i32) -> anyhow::Result<Offsets> {
        let mut wanted = TopicPartitionList::new();
        for topic in &self.topics {
            wanted.add_partition(topic.name, partition);
        }
        let committed = self
            .consumer
            .committed_offsets(wanted, CALL_TIMEOUT)
            .context("the group's offsets are not to be had; a transaction may be pending")?;
        let elements = committed.elements();
        let offset = |offset| match offset {
            Offset::Offset(next) => next,
            _ => 0,
        };
        let place = |topic: &str| (topic.to_owned(), partition);
        let committed: Offsets =
            elements.iter().map(|e| (place(e.topic()), offset(e.offset()))).collect();
        // The next records are those: what is deleted until they are read is missed as well.
        self.expected.extend(committed.clone());
        Ok(committed)
    }

    /// Read again from `offsets`.
    pub(crate) fn seek(&mut self, offsets: &Offsets) -> anyhow::Result<()> {
        self.expected.extend(offsets.clone());
        for ((topic, partition), offset) in offsets {
            self.consumer
                .seek(topic, *partition, Offset::Offset(*offset), CALL_TIMEOUT)
                .with_context(|| format!("cannot rewind {topic}/{partition} to {offset}"))?;
        }
        Ok(())
    }

    /// What Kafka needs to know to accept offsets in a transaction.
    pub(crate) fn group_metadata(&self) -> anyhow::Result<ConsumerGroupMetadata> {
        self.consumer.group_metadata().context("the consumer has no group")
    }

    /// Commit `offsets` without a transaction, for a batch that has sent nothing.
    pub(crate) fn commit(&mut self, offsets: &Offsets) -> anyhow::Result<()> {
        let list = to_list(offsets)?;
        self.consumer.commit(&list, rdkafka::consumer::CommitMode::Sync)?;
        self.expected.extend(offsets.clone());
        Ok(())
    }

    fn serve_events(&mut self, batch: &mut Vec<Record>) {
        for event in self.consumer.context().take_events() {
            match event {
                GroupEvent::Assigned(partitions) => {
                    let numbers = partitions.iter().map(|(_, partition)| *partition);
                    let tasks: Vec<_> = numbers.filter(|number| self.is_task(*number)).collect();
                    self.fresh.extend(tasks);
                    self.expected.clear();
                    self.owned.extend(partitions);
                }
                GroupEvent::Revoked(partitions) => {
                    for place in &partitions {
                        self.owned.remove(place);
                        self.fresh.remove(&place.1);
                    }
                    batch.retain(|record: &Record| {
                        !partitions.contains(&(record.topic.to_string(), record.partition))
                    });
                }
            }
        }
    }
}

/// `wait`, rounded up: rdkafka waits in whole milliseconds and spins for the rest.
fn whole_millis(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// `offsets` as the client wants them.
pub(crate) fn to_list(offsets: &Offsets) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}
