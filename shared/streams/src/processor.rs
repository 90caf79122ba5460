//! [`Processor`]: the code of a service for its records. Sync, no clock, no IO of its own except in
//! [`Processor::flush`], so that the simulation can run the same code.

use crate::{
    Failure, Record, Service, Timestamp, Tx,
    store::{Layout, LayoutError},
    topic::TopicSpec,
};
use std::time::Duration;

/// How far a topic is read when state is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpTo {
    /// To the committed offset: what comes after it will be processed.
    Committed,
    /// To the end: the topic is our own output, which says what we have decided.
    End,
}

/// A topic that state is restored from.
#[derive(Clone, Copy)]
pub struct Source {
    /// The topic; partition p restores the state of partition p.
    pub topic: &'static TopicSpec,
    /// How far.
    pub up_to: UpTo,
}

/// What says the same as records of an input that are no longer in the log.
#[derive(Clone, Copy)]
pub struct StandIn {
    /// Its records are handled in their place, one after the other.
    pub topic: &'static TopicSpec,
    /// Which of its partitions say it.
    pub extent: Extent,
}

/// Which part of a [`StandIn`] stands for a partition of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Partition p for partition p, as far as this group has handled it.
    ReachedBy(&'static str),
    /// All partitions, to their ends: it has other keys.
    Whole,
}

/// A service's reaction to its input topics.
///
/// The engine calls `process` for each record of a batch in order, then `tick`, then `flush`, and
/// commits what the [`Tx`] has gathered together with the offsets, in one Kafka transaction.
/// After a failure it calls `reset`, and the batch comes again.
pub trait Processor: Send {
    /// The service: it decides which messages the processor may send.
    type Identity: Service;

    /// The topics to read, co-partitioned.
    fn inputs(&self) -> Vec<&'static TopicSpec>;

    /// The topics to write, whose schemas must be registered before the first record.
    fn outputs(&self) -> Vec<&'static TopicSpec>;

    /// Where state comes from, in order. Nothing for a processor without state.
    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    /// What stands in for records of the input `topic` that were deleted before they were read. It
    /// must say at least what they said: the processor knows what it has handled already.
    fn stand_in(&self, topic: &str) -> Option<StandIn> {
        let _ = topic;
        None
    }

    /// Whether a customer waits for what comes of `record`. A batch without such a record is kept
    /// open for [`LATER`](crate::limits::LATER), so that more of them share a transaction.
    fn is_awaited(&self, record: &Record) -> bool {
        let _ = record;
        true
    }

    /// How long the transaction that carries what comes of `record` may wait for further batches.
    /// What `flush` did for it stands meanwhile, and is repeated after a failure. Only for a
    /// processor without state.
    fn linger(&self, record: &Record) -> Duration {
        let _ = record;
        Duration::ZERO
    }

    /// Every table of the state: a store that was written with another layout is rebuilt.
    ///
    /// # Errors
    /// When a table's type does not say what it is made of ([`Layout::table`]).
    fn layout() -> Result<Layout, LayoutError>
    where
        Self: Sized,
    {
        Ok(Layout::default())
    }

    /// Handle one record: decide, evolve the state, send what follows.
    ///
    /// A restore folds the records of the [`Source`]s with the same method, so that the two cannot
    /// disagree: what is sent is then dropped ([`Tx::is_replay`]), and poison is passed by.
    ///
    /// # Errors
    /// [`Failure`] says what becomes of it.
    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Self::Identity>) -> Result<(), Failure>;

    /// Time has passed for the partition that `tx` has begun.
    ///
    /// # Errors
    /// As `process`, but poison is fatal: there is no record to blame.
    fn tick(&mut self, tx: &mut Tx<'_, Self::Identity>) -> Result<(), Failure> {
        let _ = tx;
        Ok(())
    }

    /// The batch is complete: do what is done once per batch, such as an idempotent write to a
    /// database, before the transaction.
    ///
    /// # Errors
    /// As `tick`.
    fn flush(&mut self, tx: &mut Tx<'_, Self::Identity>) -> Result<(), Failure> {
        let _ = tx;
        Ok(())
    }

    /// The batch was dropped: forget what was gathered for it.
    fn reset(&mut self) {}

    /// The batch is committed: what was gathered for it has happened.
    fn committed(&mut self) {}

    /// Every input of `partition` was read to its end `at` that time, and all of it is handled.
    fn caught_up(&mut self, partition: i32, at: Timestamp) {
        let _ = (partition, at);
    }
}
