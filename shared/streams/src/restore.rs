//! Restoring the state of a partition: folding its sources from where the store stands.

use crate::Timestamp;
use crate::{
    Codec, Failure, Processor, Record, Tx, UpTo, failpoint,
    store::{Positions, Store},
    turn::Offsets,
};
use anyhow::Context;
use std::time::Instant;
use tracing::{debug, info};

/// Records folded per write to the store.
const CHUNK: usize = 1000;

/// Logs as a restore reads them: what is committed, and nothing else.
pub trait Log {
    /// The end of the log, once every transaction that was open at the call is decided.
    ///
    /// # Errors
    /// When the log cannot be reached, or a transaction stays open.
    fn stable_end(&self, topic: &str, partition: i32) -> anyhow::Result<i64>;

    /// Give `each` the records of `topic` from `from` to before `to`.
    ///
    /// # Errors
    /// When the log cannot be reached, and those of `each`.
    fn read(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
}

/// Bring the state of `partition` to what its sources say, at the time `now`. `committed` is where
/// the group's offsets stand. Gives the positions that the state now stands for.
///
/// # Errors
/// When the log or the store fails; what was folded before is kept.
pub fn restore<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    reader: &mut dyn Log,
    partition: i32,
    committed: &Offsets,
    now: Timestamp,
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
        let mut fold = Fold { processor, store, codec, now, place: (topic, partition), records: 0 };
        fold.run(reader, from..end, &mut positions)?;
        records += fold.records;
    }
    if records > 0 {
        info!(partition, records, "state restored in {:.1?}", started.elapsed());
    }
    Ok(positions)
}

/// One topic on its way into the state.
struct Fold<'a, P> {
    processor: &'a mut P,
    store: &'a dyn Store,
    codec: &'a Codec,
    now: Timestamp,
    place: (&'static str, i32),
    records: usize,
}

impl<P: Processor> Fold<'_, P> {
    fn run(
        &mut self,
        reader: &mut dyn Log,
        offsets: std::ops::Range<i64>,
        positions: &mut Positions,
    ) -> anyhow::Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let (topic, partition) = self.place;
        let (mut chunk, end) = (Vec::with_capacity(CHUNK), offsets.end);
        reader.read(topic, partition, offsets.start, end, &mut |record| {
            let next = record.offset + 1;
            chunk.push(record);
            if chunk.len() < CHUNK { Ok(()) } else { self.write(&mut chunk, next, positions) }
        })?;
        self.write(&mut chunk, end, positions)
    }

    fn write(
        &mut self,
        chunk: &mut Vec<Record>,
        next: i64,
        positions: &mut Positions,
    ) -> anyhow::Result<()> {
        let (topic, partition) = self.place;
        let mut tx = Tx::new(self.store, self.codec, self.now);
        for record in chunk.drain(..) {
            self.records += 1;
            tx.begin(&record);
            match self.processor.restore(&record, &mut tx) {
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
        self.store.apply(partition, writes.remove(&partition).unwrap_or_default(), positions)?;
        failpoint::reached("restoring");
        Ok(())
    }
}
