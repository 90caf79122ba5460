//! The rebuild of a view: from the beginning of the log into a shadow schema, and then in the place
//! of the present tables.
//!
//! It reads as far as the view has been applied, and takes the transitions that the memory has
//! taken, so it may be neither behind nor ahead. Each portion is folded in one transaction with the
//! positions that it leads to: killed at any point, it goes on from there. At the end, batches wait
//! while one transaction folds what is left and swaps the tables. Readers wait for the swap alone;
//! nothing is announced.

mod log;
mod shadow;
mod worker;

pub use log::{KafkaLog, Log};
pub use worker::{Rebuilds, rebuild};

use crate::{
    adapters::lean,
    batch::{Arrived, News},
    inputs,
    views::ViewName,
};
use anyhow::Context;
use contracts::{
    Timestamp,
    topics::{ORDERS, TopicSpec},
};
use service_kit::{
    Backoff, Shutdown,
    postgres::{Database, Fault},
};
use shadow::{Mark, Shadow};
use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Instant,
};
use streams::{Codec, Failure, MemoryStore, Record, Tx};
use tokio::{runtime::Handle, time::timeout};

/// Records that are folded in one transaction.
const PORTION_RECORDS_MAX: usize = 4_000;

/// Portions that are read ahead while one is folded.
const PORTIONS_AHEAD: usize = 2;

/// So many offsets may be left when the batches begin to wait.
const SWAP_LEFT_MAX: i64 = 2_000;

/// What holds a swap up.
const HELD: &str = "a session has held the tables for a second, such as one of pg_dump";

/// The positions of partitions: topic, partition, next offset.
type Positions = BTreeMap<(String, i32), i64>;

/// A part of a partition's log.
#[derive(Debug, Clone)]
struct Stretch {
    topic: &'static TopicSpec,
    partition: i32,
    from: i64,
    to: i64,
}

/// A part of a stretch, decoded.
struct Portion {
    arrived: Vec<Arrived>,
    records: usize,
    place: (String, i32),
    next: i64,
    /// What is left after it.
    left: i64,
}

/// How a rebuild has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The rebuilt tables are served.
    Swapped {
        /// Records that were read.
        records: i64,
    },
    /// Another instance is at it.
    Elsewhere,
    /// The process stops; the rebuild goes on later.
    Stopped,
}

/// One rebuild at work.
struct Rebuild<'a> {
    view: ViewName,
    log: &'a mut dyn Log,
    codec: &'a Codec,
    runtime: &'a Handle,
    stop: &'a Shutdown,
    shadow: Shadow,
    begun: Instant,
    /// Records that this process has read, and offsets.
    read: (i64, i64),
}

impl Rebuild<'_> {
    fn run(&mut self) -> anyhow::Result<Ended> {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let stretches = self.stretches()?;
            let left: i64 = stretches.iter().map(|stretch| stretch.to - stretch.from).sum();
            if !self.pass(&stretches)? {
                return Ok(Ended::Stopped);
            }
            if left > SWAP_LEFT_MAX {
                continue;
            }
            match self.swap() {
                Ok(Some(records)) => return Ok(Ended::Swapped { records }),
                Ok(None) => {}
                // Each attempt holds up readers and batches, so they become rare.
                Err(error) if is_locked(&error) => {
                    let pause = backoff.next();
                    self.runtime.block_on(async {
                        self.shadow.hold_up(HELD).await?;
                        let _ = timeout(pause, self.stop.cancelled()).await;
                        anyhow::Ok(())
                    })?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ended::Stopped)
    }

    /// What is to be read: as far as the view has been applied. What it has not heard of since it
    /// keeps positions is read to its end; of orders, the memory knows all.
    fn stretches(&mut self) -> anyhow::Result<Vec<Stretch>> {
        let (applied, read) = self.runtime.block_on(self.shadow.positions())?;
        let mut stretches = Vec::new();
        for topic in self.view.definition().topics {
            for partition in 0..self.log.partitions(topic)? {
                let place = (topic.name.to_owned(), partition);
                let to = match applied.get(&place) {
                    Some(next) => *next,
                    None if topic.name == ORDERS.name() => 0,
                    None => self.log.end(topic, partition)?,
                };
                let from = match read.get(&place) {
                    Some(from) => *from,
                    None => self.log.start(topic, partition)?,
                };
                if from < to {
                    stretches.push(Stretch { topic, partition, from, to });
                }
            }
        }
        Ok(stretches)
    }

    /// Read and fold `stretches`; false if the process stops before the end. One thread reads and
    /// decodes ahead of the one that folds.
    fn pass(&mut self, stretches: &[Stretch]) -> anyhow::Result<bool> {
        let (sender, portions) = sync_channel(PORTIONS_AHEAD);
        let (log, codec, stop) = (&mut *self.log, self.codec, self.stop);
        let (shadow, view, runtime) = (&mut self.shadow, self.view, self.runtime);
        let (read, begun) = (&mut self.read, self.begun);
        thread::scope(|scope| {
            let reading = scope.spawn(move || {
                read_all(log, codec, stretches, |portion| {
                    !stop.is_cancelled() && sender.send(portion).is_ok()
                })
            });
            let folded = fold_all(shadow, view, runtime, &portions, (read, begun));
            // The reader ends when nothing takes its portions.
            drop(portions);
            let has_read = reading.join().map_err(|_| anyhow::anyhow!("the reader has failed"))?;
            folded?;
            has_read
        })
    }

    /// With the batches waiting, fold what is left and swap; none if too much is left.
    fn swap(&mut self) -> anyhow::Result<Option<i64>> {
        let (view, runtime) = (self.view, self.runtime);
        let (applied, read) = runtime.block_on(self.shadow.begin_swap())?;
        let mut left = Vec::new();
        for topic in view.definition().topics {
            for ((name, partition), to) in applied.range((topic.name.to_owned(), 0)..) {
                let from = match read.get(&(name.clone(), *partition)) {
                    _ if name != topic.name => break,
                    Some(from) => *from,
                    None => self.log.start(topic, *partition)?,
                };
                if from < *to {
                    left.push(Stretch { topic, partition: *partition, from, to: *to });
                }
            }
        }
        let offsets: i64 = left.iter().map(|stretch| stretch.to - stretch.from).sum();
        if offsets > SWAP_LEFT_MAX {
            runtime.block_on(self.shadow.end_swap())?;
            return Ok(None);
        }
        let mut portions = Vec::new();
        read_all(self.log, self.codec, &left, |portion| {
            portions.push(portion);
            true
        })?;
        let records: usize = portions.iter().map(|portion| portion.records).sum();
        let arrived: Vec<Arrived> =
            portions.into_iter().flat_map(|portion| portion.arrived).collect();
        self.read.0 += i64::try_from(records)?;
        let swap = self.shadow.swap(view, &arrived, i64::try_from(records)?, self.begun.elapsed());
        match runtime.block_on(swap) {
            // What the tables refuse is put aside in a portion of its own.
            Err(error) if Fault::of(error.as_ref()) == Fault::Refused => Ok(None),
            swapped => swapped.map(Some),
        }
    }
}

/// Whether a lock was not free in time: a reader or a backup holds the tables.
fn is_locked(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error());
    error.and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// Give `take` the portions of `stretches`; false if it takes no more.
fn read_all(
    log: &mut dyn Log,
    codec: &Codec,
    stretches: &[Stretch],
    mut take: impl FnMut(Portion) -> bool,
) -> anyhow::Result<bool> {
    let mut left: i64 = stretches.iter().map(|stretch| stretch.to - stretch.from).sum();
    for Stretch { topic, partition, from, to } in stretches {
        let mut from = *from;
        while from < *to {
            let read = log.read(topic, *partition, from, *to, PORTION_RECORDS_MAX);
            let (records, next) = read.with_context(|| format!("{}/{partition}", topic.name))?;
            left -= next - from;
            from = next;
            let (number, place) = (records.len(), (topic.name.to_owned(), *partition));
            let arrived = decode(codec, records)?;
            if !take(Portion { arrived, records: number, place, next, left }) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// What `records` say. Those that say nothing became dead letters when they came.
fn decode(codec: &Codec, records: Vec<Record>) -> anyhow::Result<Vec<Arrived>> {
    let state = MemoryStore::default();
    let mut arrived = Vec::new();
    let mut tx = Tx::new(&state, codec, Timestamp::default());
    for record in records {
        tx.begin(&record);
        let news: Result<News, Failure> = inputs::read(&record, &tx);
        match news {
            Ok(news) => arrived.push(Arrived { record, news }),
            Err(Failure::Poison(cause)) => {
                tracing::debug!(record = record.address(), "not rebuilt: {cause}");
            }
            Err(failure) => return Err(anyhow::anyhow!("{failure}")),
        }
    }
    Ok(arrived)
}

/// Fold what comes through `portions`, and note how far that leads.
fn fold_all(
    shadow: &mut Shadow,
    view: ViewName,
    runtime: &Handle,
    portions: &Receiver<Portion>,
    (read, begun): (&mut (i64, i64), Instant),
) -> anyhow::Result<()> {
    let mut before: Option<i64> = None;
    for portion in portions {
        let Portion { arrived, records, place, next, left } = portion;
        read.0 += i64::try_from(records)?;
        let done = before.map_or(0, |before| before - left);
        read.1 += done.max(i64::try_from(records)?);
        before = Some(left);
        let rate = read.1 as f64 / begun.elapsed().as_secs_f64().max(0.001);
        let mark = Mark { place, next, records: i64::try_from(records)?, left, rate };
        runtime.block_on(shadow.fold(view, &arrived, &mark))?;
    }
    Ok(())
}

/// Begin a rebuild of `view`, or go on with it, unless another instance is at it.
fn open(view: ViewName, database: &Database, runtime: &Handle) -> anyhow::Result<Option<Shadow>> {
    runtime.block_on(async {
        let mut shadow = Shadow::connect(database, view).await?;
        match shadow.within(async |connection| lean::lock_rebuild(connection, view).await).await? {
            true => shadow.prepare(view).await.map(|()| Some(shadow)),
            false => Ok(None),
        }
    })
}
