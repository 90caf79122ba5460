//! Restoring the state of a partition: folding its sources from where the store stands.

use super::client::{
    CALL_TIMEOUT, ReaderContext, TopicNames, pause_briefly, reader_config, to_record,
};
use super::group::NextOffsets;
use crate::{
    Codec, Failure, Processor, Record, Tx, UpTo,
    store::{Positions, Store},
};
use anyhow::Context;
use contracts::Timestamp;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use std::time::{Duration, Instant, SystemTime};
use tracing::{debug, info};

/// Records folded per write to the store.
const CHUNK: usize = 1000;

/// Longest silence of a partition that has more to give.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Reads logs from an offset to their end, for restores.
pub(crate) struct LogReader {
    committed: BaseConsumer<ReaderContext>,
    uncommitted: BaseConsumer<ReaderContext>,
    names: TopicNames,
}

impl LogReader {
    /// A reader; `client` names it to the broker.
    pub(crate) fn new(bootstrap: &str, client: &str) -> anyhow::Result<Self> {
        let mut config = reader_config(bootstrap, client);
        config.set("enable.partition.eof", "true");
        let committed = config.create_with_context(ReaderContext::default())?;
        config.set("isolation.level", "read_uncommitted");
        let uncommitted = config.create_with_context(ReaderContext::default())?;
        Ok(Self { committed, uncommitted, names: TopicNames::default() })
    }

    /// The end of the log, once every transaction that was open at the call is decided: the last
    /// stable offset, when it has reached the high watermark of the call. Whoever owned the
    /// partition before may have committed a moment ago, with the markers still on their way.
    pub(crate) fn stable_end(&self, topic: &str, partition: i32) -> anyhow::Result<i64> {
        let watermarks = |consumer: &BaseConsumer<ReaderContext>| {
            consumer.fetch_watermarks(topic, partition, CALL_TIMEOUT)
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

    /// Give `each` the records of `topic` from `from` to before `to`.
    pub(crate) fn read(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
        mut each: impl FnMut(Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if from >= to {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
        self.committed.assign(&assignment)?;
        let mut heard = Instant::now();
        loop {
            match self.committed.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if message.offset() >= to {
                        break;
                    }
                    each(to_record(&message, &mut self.names))?;
                }
                // Reached the end: the last offsets before `to` are transaction markers.
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => debug!("{topic}/{partition}: {error}"),
                None => {}
            }
            let heard_of = heard.elapsed() < SILENCE_MAX;
            anyhow::ensure!(heard_of, "{topic}/{partition} is silent before its end");
        }
        self.committed.unassign()?;
        Ok(())
    }
}

/// Bring the state of `partition` to what its sources say. `committed` is where the group's
/// offsets stand. Gives the positions that the state now stands for.
pub(crate) fn restore<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    reader: &mut LogReader,
    partition: i32,
    committed: &NextOffsets,
) -> anyhow::Result<Positions> {
    let started = Instant::now();
    let mut ends = Vec::new();
    for source in processor.sources() {
        let topic = source.topic.name;
        let end = match source.up_to {
            UpTo::End => reader.stable_end(topic, partition)?,
            UpTo::Committed => {
                let place = (topic.to_owned(), partition);
                *committed.get(&place).context("a source up to committed is an input")?
            }
        };
        ends.push((topic, end));
    }
    let mut positions = store.positions(partition)?;
    let ahead = ends.iter().find(|(topic, end)| positions.get(*topic).is_some_and(|at| at > end));
    if let Some((topic, end)) = ahead {
        // Offsets were reset or the topic was made anew: what the store holds never happened.
        info!(partition, "the store is ahead of {topic} at {end}: it is rebuilt");
        store.clear(partition)?;
        positions.clear();
    }
    let mut records = 0;
    for (topic, end) in ends {
        let from = positions.get(topic).copied().unwrap_or(0);
        records +=
            fold(processor, store, codec, reader, (topic, partition), from..end, &mut positions)?;
    }
    if records > 0 {
        info!(partition, records, "state restored in {:.1?}", started.elapsed());
    }
    Ok(positions)
}

fn fold<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    reader: &mut LogReader,
    (topic, partition): (&str, i32),
    offsets: std::ops::Range<i64>,
    positions: &mut Positions,
) -> anyhow::Result<usize> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut records = 0;
    let mut flush = |chunk: &mut Vec<Record>, next: i64| -> anyhow::Result<()> {
        let now = Timestamp::from(SystemTime::now());
        let mut tx = Tx::new(store, codec, now);
        for record in chunk.drain(..) {
            records += 1;
            tx.begin(&record);
            match processor.restore(&record, &mut tx) {
                Ok(()) => tx.keep(),
                // It went to the dead letters when it was met first.
                Err(Failure::Poison(cause)) => {
                    debug!("{}: {cause}", record.address());
                    tx.drop_scratch();
                }
                Err(Failure::Retriable(error) | Failure::Fatal(error)) => return Err(error),
            }
        }
        let (sent, mut writes) = tx.into_parts();
        anyhow::ensure!(sent.is_empty(), "a restore must not send, to {}", sent[0].topic);
        positions.insert(topic.to_owned(), next);
        store.apply(partition, writes.remove(&partition).unwrap_or_default(), positions)
    };
    let end = offsets.end;
    if offsets.is_empty() {
        return Ok(0);
    }
    reader.read(topic, partition, offsets.start, end, |record| {
        let next = record.offset + 1;
        chunk.push(record);
        if chunk.len() < CHUNK { Ok(()) } else { flush(&mut chunk, next) }
    })?;
    flush(&mut chunk, end)?;
    Ok(records)
}
