//! Reading a log from an offset to its end.

use crate::{
    access::Asking,
    client::{ReaderContext, TopicNames, pause_briefly, reader_config, to_record},
    partitions::partitions_of,
};
use anyhow::Context;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use std::time::{Duration, Instant};
use streams::{
    Record,
    engine::Offsets,
    limits::{BATCH_BYTES_MAX, CALL_TIMEOUT, RESTORE_RECORDS_MAX},
    topic::{TopicSpec, Writers},
};
use tracing::debug;

/// Longest silence of a partition that has more to give.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Reads logs from an offset to their end, for restores and rebuilds. Its calls block.
pub struct LogReader {
    committed: BaseConsumer<ReaderContext>,
    uncommitted: BaseConsumer<ReaderContext>,
    names: TopicNames,
    /// Where `committed` is assigned to read on.
    position: Option<(String, i32, i64)>,
}

impl LogReader {
    /// A reader; `client` names it to the broker.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(bootstrap: &str, client: &str) -> anyhow::Result<Self> {
        let mut config = reader_config(bootstrap, client)?;
        config.set("enable.partition.eof", "true");
        // The end is known only after an empty fetch, which by default takes half a second.
        config.set("fetch.wait.max.ms", "10");
        let committed = config.create_with_context(ReaderContext::default())?;
        config.set("isolation.level", "read_uncommitted");
        let uncommitted = config.create_with_context(ReaderContext::default())?;
        Ok(Self { committed, uncommitted, names: TopicNames::default(), position: None })
    }

    /// The last stable offset, when it has reached the high watermark of the call. The instance
    /// that owned the partition before may have committed a moment ago, with the markers still on
    /// their way.
    ///
    /// # Errors
    /// When Kafka is away, or a transaction stays open.
    pub fn stable_end(&self, topic: &str, partition: i32) -> anyhow::Result<i64> {
        let watermarks = |consumer: &BaseConsumer<ReaderContext>| {
            let asked = consumer.fetch_watermarks(topic, partition, CALL_TIMEOUT);
            asked.map_err(|error| consumer.context().heard().explain_of(consumer, error))
        };
        let (_, high) = watermarks(&self.uncommitted)?;
        let started = Instant::now();
        loop {
            let (_, stable) = watermarks(&self.committed)?;
            if stable >= high {
                return Ok(stable);
            }
            // An open transaction of another writer is ended by the broker in its own time.
            anyhow::ensure!(
                started.elapsed() < CALL_TIMEOUT,
                "{topic}/{partition} has a transaction open at {stable}"
            );
            pause_briefly();
        }
    }

    /// The first offset that there still is.
    ///
    /// # Errors
    /// When Kafka is away.
    pub fn start(&self, topic: &str, partition: i32) -> anyhow::Result<i64> {
        let watermarks = self.committed.fetch_watermarks(topic, partition, CALL_TIMEOUT);
        Ok(watermarks.with_context(|| format!("{topic}/{partition}"))?.0)
    }

    /// How many partitions of `topic` there are to read. What is beyond the contract is part of
    /// captured tables alone.
    ///
    /// # Errors
    /// When Kafka is away, or has no such topic.
    pub fn partitions(&self, topic: &TopicSpec) -> anyhow::Result<i32> {
        match topic.writers {
            Writers::Cdc => Ok(i32::try_from(partitions_of(&self.committed, topic.name)?)?),
            _ => Ok(topic.partitions()),
        }
    }

    /// Where the log begins, of those positions that are no longer in it. A member of a group must
    /// not ask that itself: its broker answers one request after the other, and the fetch before
    /// may wait for half a second.
    pub(crate) fn overtaken(&self, positions: &Offsets) -> anyhow::Result<Offsets> {
        let mut overtaken = Offsets::new();
        for (place, position) in positions {
            let watermarks = self.committed.fetch_watermarks(&place.0, place.1, CALL_TIMEOUT);
            let (start, _) = watermarks.with_context(|| format!("{}/{}", place.0, place.1))?;
            if *position < start {
                overtaken.insert(place.clone(), start);
            }
        }
        Ok(overtaken)
    }

    /// The records from `from` to before `to`, `max` at most or as many as [`BATCH_BYTES_MAX`]
    /// allows, and where to go on.
    ///
    /// # Errors
    /// When Kafka is away.
    pub fn read(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
        max: usize,
    ) -> anyhow::Result<(Vec<Record>, i64)> {
        let place = (topic.to_owned(), partition, from);
        if self.position.take().as_ref() != Some(&place) {
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
            self.committed.assign(&assignment)?;
        }
        let (mut records, mut bytes, mut heard) = (Vec::new(), 0, Instant::now());
        while records.len() < max && bytes < BATCH_BYTES_MAX {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if message.offset() >= to {
                        return Ok((records, to));
                    }
                    let record = to_record(&message, &mut self.names);
                    bytes += record.size();
                    let next = record.offset + 1;
                    records.push(record);
                    if next >= to {
                        return Ok((records, to));
                    }
                }
                // Reached the end: the last offsets before `to` are transaction markers.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok((records, to)),
                Some(Err(error)) => {
                    debug!("{topic}/{partition}: {error}");
                    if let Some(why) = self.committed.context().heard().take() {
                        anyhow::bail!("{why}");
                    }
                }
                None => {}
            }
            let heard_of = heard.elapsed() < SILENCE_MAX;
            anyhow::ensure!(heard_of, "{topic}/{partition} is silent before its end");
        }
        let next = records.last().map_or(from, |record| record.offset + 1);
        self.position = Some((topic.to_owned(), partition, next));
        Ok((records, next))
    }
}

impl LogReader {
    /// See that there is `topic`, within a few seconds.
    ///
    /// # Errors
    /// When Kafka is away, or has no such topic.
    pub(crate) fn look_for(&self, topic: &TopicSpec) -> anyhow::Result<()> {
        let found = partitions_of(&self.committed, topic.name).map(drop);
        found.map_err(|error| self.committed.context().heard().explain_of(&self.committed, error))
    }

    /// Give `each` the last `offsets` of each partition of `topic` at most: see [`read_end`].
    pub(crate) fn read_end(
        &mut self,
        topic: &TopicSpec,
        offsets: i64,
        mut each: impl FnMut(Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for partition in 0..self.partitions(topic)? {
            let end = self.stable_end(topic.name, partition)?;
            let mut next = end.saturating_sub(offsets).max(0);
            while next < end {
                let read = self.read(topic.name, partition, next, end, RESTORE_RECORDS_MAX);
                let (records, on) = read?;
                records.into_iter().try_for_each(&mut each)?;
                next = on;
            }
        }
        Ok(())
    }
}

/// Give `each` every record of `topic` that is committed by now, partition by partition. Blocks.
///
/// # Errors
/// When Kafka is away, or `each` fails.
pub fn read_topic(
    bootstrap: &str,
    topic: &TopicSpec,
    each: impl FnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    read_end(bootstrap, topic, i64::MAX, each)
}

/// The same for the last `offsets` of each partition at most; markers of transactions count, and so
/// do records that are gone.
///
/// # Errors
/// As [`read_topic`].
pub fn read_end(
    bootstrap: &str,
    topic: &TopicSpec,
    offsets: i64,
    each: impl FnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let read = LogReader::new(bootstrap, "log-reader")?.read_end(topic, offsets, each);
    read.with_context(|| format!("cannot read {} from Kafka at {bootstrap}", topic.name))
}

/// The log start offset of each partition of `topic`: the records before it were deleted, by
/// retention or by a DeleteRecords request (KIP-107). Blocks.
///
/// # Errors
/// When Kafka is away.
pub fn log_starts(bootstrap: &str, topic: &TopicSpec) -> anyhow::Result<Vec<(i32, i64)>> {
    let config = reader_config(bootstrap, "log-reader")?;
    let consumer: BaseConsumer<Asking> = config.create_with_context(Asking::default())?;
    let start = |partition| {
        let watermarks = consumer.fetch_watermarks(topic.name, partition, CALL_TIMEOUT);
        let (low, _) = watermarks
            .map_err(|error| consumer.context().0.explain_of(&consumer, error))
            .with_context(|| format!("cannot ask Kafka at {bootstrap} about {}", topic.name))?;
        Ok((partition, low))
    };
    (0..topic.partitions()).map(start).collect()
}
