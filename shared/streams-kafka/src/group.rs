//! [`GroupReader`]: a member of a consumer group that reads batches and knows what it owns.

use crate::{
    ConsumerSettings,
    client::{Ends, GroupEvent, ReaderContext, TopicNames, member_config, to_record},
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
    limits::{BATCH_BYTES_MAX, CALL_TIMEOUT, IDLE},
    topic::TopicSpec,
};
use tracing::debug;

/// How often a reader that must know looks whether it has read everything.
const ENDS_INTERVAL_MS: &str = "500";

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
}

impl GroupReader {
    /// Join the group. Fails while a topic does not exist.
    pub(crate) fn join(
        settings: &ConsumerSettings,
        topics: Vec<&'static TopicSpec>,
    ) -> anyhow::Result<Self> {
        let mut config = member_config(&settings.bootstrap, settings.name, &settings.member());
        if settings.report_ends {
            config.set("statistics.interval.ms", ENDS_INTERVAL_MS);
        }
        let consumer: BaseConsumer<ReaderContext> =
            config.create_with_context(ReaderContext::default())?;
        for topic in &topics {
            topic_exists(&consumer, topic.name)
                .with_context(|| format!("Kafka at {}", settings.bootstrap))?;
        }
        let names: Vec<_> = topics.iter().map(|topic| topic.name).collect();
        consumer.subscribe(&names)?;
        Ok(Self {
            consumer,
            settings: settings.clone(),
            topics,
            names: TopicNames::default(),
            owned: BTreeSet::new(),
            fresh: BTreeSet::new(),
        })
    }

    /// Poll until the input is drained, the batch is full, or the wait is over.
    pub(crate) fn poll(&mut self) -> anyhow::Result<Polled> {
        let mut until = Instant::now() + IDLE;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.settings.batch_records_max && bytes < BATCH_BYTES_MAX {
            let left = until.saturating_duration_since(Instant::now());
            let polled = self.consumer.poll(left);
            let record = match polled {
                Some(Ok(message)) => Some(to_record(&message, &mut self.names)),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    anyhow::bail!("the consumer is fenced: {code}")
                }
                Some(Err(error)) => {
                    debug!("{}: {error}", self.settings.name);
                    None
                }
                None if left.is_zero() || !batch.is_empty() => {
                    self.serve_events(&mut batch);
                    break;
                }
                None => None,
            };
            self.serve_events(&mut batch);
            if let Some(record) = record {
                if batch.is_empty() {
                    until = Instant::now() + self.settings.batch_wait;
                }
                // A record of a partition that was just taken away may still be in the queue.
                if self.owned.contains(&(record.topic.to_string(), record.partition)) {
                    bytes += record.size();
                    batch.push(record);
                }
            }
        }
        let outage = if batch.is_empty() { self.outage() } else { None };
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

    /// The partition numbers that are ours.
    pub(crate) fn partitions(&self) -> BTreeSet<i32> {
        self.owned.iter().map(|(_, partition)| *partition).collect()
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
    pub(crate) fn committed(&self, partition: i32) -> anyhow::Result<Offsets> {
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
        Ok(elements.iter().map(|e| (place(e.topic()), offset(e.offset()))).collect())
    }

    /// Read again from `offsets`.
    pub(crate) fn seek(&self, offsets: &Offsets) -> anyhow::Result<()> {
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
    pub(crate) fn commit(&self, offsets: &Offsets) -> anyhow::Result<()> {
        let list = to_list(offsets)?;
        Ok(self.consumer.commit(&list, rdkafka::consumer::CommitMode::Sync)?)
    }

    fn serve_events(&mut self, batch: &mut Vec<Record>) {
        for event in self.consumer.context().take_events() {
            match event {
                GroupEvent::Assigned(partitions) => {
                    self.fresh.extend(partitions.iter().map(|(_, partition)| *partition));
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

/// `offsets` as the client wants them.
pub(crate) fn to_list(offsets: &Offsets) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// The number of partitions of `topic`.
pub(crate) fn topic_exists<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> anyhow::Result<usize> {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(3))?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    anyhow::ensure!(partitions > 0, "there is no topic `{topic}` yet");
    Ok(partitions)
}
