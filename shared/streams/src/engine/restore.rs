//! Restoring the state of a partition: folding its sources from where the store is.

use super::{Apply, Effect, Event, batch::Failed};
use crate::{
    Codec, Failure, Passed, Processor, Record, Timestamp, Tx, UpTo,
    engine::Offsets,
    store::{Positions, Store},
};
use std::collections::VecDeque;
use tracing::{debug, info};

/// A partition on its way to be restored.
#[derive(Debug)]
pub(super) struct Restore {
    pub(super) partition: i32,
    /// The group's positions.
    committed: Offsets,
    /// Where the inputs begin that no longer have these positions.
    starts: Offsets,
    /// The positions of the state so far.
    positions: Positions,
    /// Sources whose end is still to be asked for.
    unasked: VecDeque<&'static str>,
    /// Sources with their ends, in the order of the processor's.
    left: VecDeque<(&'static str, i64)>,
    /// Where the chunk that was folded last ends, until the store has it.
    next: i64,
    records: usize,
    waits: Waits,
}

/// What a restore waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Offsets,
    End,
    Records,
    Store,
}

/// How a restore goes on.
pub(super) enum Step {
    Do(Effect),
    Restored { positions: Positions, committed: Offsets, starts: Offsets },
}

impl Restore {
    /// The first effect asks for the group's offsets, which waits for a pending transaction.
    pub(super) fn begin(partition: i32) -> (Self, Effect) {
        let restore = Self {
            partition,
            committed: Offsets::new(),
            starts: Offsets::new(),
            positions: Positions::new(),
            unasked: VecDeque::new(),
            left: VecDeque::new(),
            next: 0,
            records: 0,
            waits: Waits::Offsets,
        };
        (restore, Effect::FetchOffsets { partition })
    }

    /// Whether the store is to answer, and not Kafka.
    pub(super) fn waits_for_store(&self) -> bool {
        self.waits == Waits::Store
    }

    /// The question to Kafka that was asked last.
    pub(super) fn repeat(&self) -> Option<Effect> {
        let partition = self.partition;
        match self.waits {
            Waits::Offsets => Some(Effect::FetchOffsets { partition }),
            Waits::End => self.unasked.front().map(|topic| Effect::FetchEnd { topic, partition }),
            Waits::Records => self.left.front().map(|(topic, end)| self.read_from(topic, *end)),
            Waits::Store => None,
        }
    }

    fn read_from(&self, topic: &str, to: i64) -> Effect {
        let from = self.positions.get(topic).copied().unwrap_or(0);
        Effect::Read { topic: topic.to_owned(), partition: self.partition, from, to }
    }

    /// What follows from the answer to the last effect, `at` this time, without the records that
    /// are passed by.
    pub(super) fn next<P: Processor>(
        &mut self,
        event: Event,
        processor: &mut P,
        codec: &Codec,
        store: &dyn Store,
        at: (Timestamp, &Passed),
    ) -> Result<Step, Failed> {
        match event {
            Event::Offsets(committed) => self.plan(committed, processor, store),
            Event::Overtaken { committed, starts } => {
                self.starts = starts;
                self.plan(committed, processor, store)
            }
            Event::End(end) => {
                let topic = self.unasked.pop_front().expect("an end was asked for");
                let place = self.left.iter_mut().find(|(known, _)| *known == topic);
                place.expect("it is one of the sources").1 = end;
                self.ask(store)
            }
            Event::Cleared => {
                self.positions.clear();
                Ok(self.read())
            }
            Event::Read { records, next } => {
                self.next = next;
                self.fold(&records, processor, codec, store, at)
            }
            Event::Applied => {
                let (topic, end) = *self.left.front().expect("a source is being read");
                self.positions.insert(topic.to_owned(), self.next);
                if self.next >= end {
                    self.left.pop_front();
                }
                Ok(self.read())
            }
            other => unreachable!("a restore did not ask for {other:?}"),
        }
    }

    fn plan<P: Processor>(
        &mut self,
        committed: Offsets,
        processor: &P,
        store: &dyn Store,
    ) -> Result<Step, Failed> {
        for source in processor.sources() {
            let topic = source.topic.name;
            let end = match source.up_to {
                UpTo::End => {
                    self.unasked.push_back(topic);
                    0
                }
                UpTo::Committed => {
                    committed.get(&(topic.to_owned(), self.partition)).copied().unwrap_or(0)
                }
            };
            self.left.push_back((topic, end));
        }
        self.committed = committed;
        if self.left.is_empty() {
            return Ok(self.read());
        }
        self.ask(store)
    }

    /// Ask for the next end; once all are known, see where the store is.
    fn ask(&mut self, store: &dyn Store) -> Result<Step, Failed> {
        if let Some(topic) = self.unasked.front() {
            self.waits = Waits::End;
            return Ok(Step::Do(Effect::FetchEnd { topic, partition: self.partition }));
        }
        let partition = self.partition;
        let failed = |error| Failed { partition, failure: Failure::Fatal(error) };
        self.positions = store.positions(partition).map_err(failed)?;
        let is_ahead = |(topic, end): &&(&str, i64)| {
            self.positions.get(*topic).is_some_and(|position| position > end)
        };
        if let Some((topic, end)) = self.left.iter().find(is_ahead) {
            // Offsets were reset or the topic was made again: what the store holds never happened.
            info!(partition, "the store is ahead of {topic} at {end}: it is rebuilt");
            self.waits = Waits::Store;
            return Ok(Step::Do(Effect::Clear { partition }));
        }
        Ok(self.read())
    }

    /// Read on, from the first source that is not at its end.
    fn read(&mut self) -> Step {
        while let Some((topic, end)) = self.left.front() {
            let from = self.positions.get(*topic).copied().unwrap_or(0);
            if from < *end {
                self.waits = Waits::Records;
                return Step::Do(self.read_from(topic, *end));
            }
            self.left.pop_front();
        }
        if self.records > 0 {
            info!(partition = self.partition, records = self.records, "state restored");
        }
        let positions = std::mem::take(&mut self.positions);
        let (committed, starts) =
            (std::mem::take(&mut self.committed), std::mem::take(&mut self.starts));
        Step::Restored { positions, committed, starts }
    }

    /// Fold a chunk: what the processor would do, with everything that it sends dropped.
    fn fold<P: Processor>(
        &mut self,
        records: &[Record],
        processor: &mut P,
        codec: &Codec,
        store: &dyn Store,
        (now, passed): (Timestamp, &Passed),
    ) -> Result<Step, Failed> {
        let partition = self.partition;
        let mut tx = Tx::replay(store, codec, now);
        for record in records.iter().filter(|record| !passed.has(record)) {
            tx.begin(record);
            match processor.process(record, &mut tx) {
                Ok(()) => tx.keep(),
                // It went to the dead letters when it was met first.
                Err(Failure::Poison(cause)) => {
                    debug!("{}: {cause}", record.address());
                    tx.drop_scratch();
                }
                Err(failure) => return Err(Failed { partition, failure }),
            }
        }
        self.records += records.len();
        let (_, mut writes, _) = tx.into_parts();
        let writes = writes.remove(&partition).unwrap_or_default();
        let (topic, _) = self.left.front().expect("a source is being read");
        let mut positions = self.positions.clone();
        positions.insert((*topic).to_owned(), self.next);
        self.waits = Waits::Store;
        Ok(Step::Do(Effect::Apply(Apply { partition, writes, positions })))
    }
}
