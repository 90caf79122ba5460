//! Restoring the state of a partition: folding its sources from where the store stands.

use super::{group::NextOffsets, log::LogReader};
use crate::{
    Codec, Failure, Processor, Record, Tx, UpTo,
    store::{Positions, Store},
};
use anyhow::Context;
use contracts::Timestamp;
use std::time::{Instant, SystemTime};
use tracing::{debug, info};

/// Records folded per write to the store.
const CHUNK: usize = 1000;

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
