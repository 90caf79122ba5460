//! The events that an [`Engine`](super::Engine) receives, and the effects that it asks for.

use crate::{
    Outgoing, Record, Timestamp,
    store::{Positions, Writes},
};
use std::collections::{BTreeMap, BTreeSet};

/// An offset per topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// What has happened: the answer to the last [`Effect`].
#[derive(Debug)]
pub enum Event {
    /// The engine starts, or the wait is over.
    Proceed,
    /// The predecessor is fenced, and we have joined the group; nothing is assigned yet.
    Connected,
    /// The clients are gone.
    Disconnected,
    /// What a poll has brought.
    Polled(Polled),
    /// The group's position on each input of the partition.
    Offsets(Offsets),
    /// The same, where some of these positions are no longer in the log.
    Overtaken {
        /// The positions.
        committed: Offsets,
        /// Where the log begins now, of those inputs where that is after the group's position.
        starts: Offsets,
    },
    /// Where a log ends, once every transaction that was open at the call is decided.
    End(i64),
    /// Committed records of a log.
    Read {
        /// In the order of their offsets.
        records: Vec<Record>,
        /// Where to go on. Transaction markers have offsets as well, so this says how far it was
        /// read, and the last record does not.
        next: i64,
    },
    /// The store has it.
    Applied,
    /// The store has forgotten the partition.
    Cleared,
    /// The transaction is open.
    Begun,
    /// All records have arrived: the last offset of each partition.
    Delivered(Offsets),
    /// The transaction has the offsets; the group has checked our generation (KIP-447).
    OffsetsAccepted,
    /// The transaction, or the offsets alone, are committed.
    Committed {
        /// The request may have been sent more than once: it timed out, or the connection to the
        /// coordinator was lost meanwhile. A copy of it may still be on its way (KAFKA-17754).
        doubtful: bool,
    },
    /// The transaction is aborted.
    Aborted {
        /// As for [`Event::Committed`].
        doubtful: bool,
    },
    /// The producer has a new epoch: whatever the old one has sent and is still on its way is
    /// refused.
    Renewed,
    /// The next poll reads from there.
    Sought,
    /// It went wrong.
    Failed(Class, anyhow::Error),
}

/// What a poll has brought.
#[derive(Debug, Default)]
pub struct Polled {
    /// Partition numbers that are ours now.
    pub owned: BTreeSet<i32>,
    /// Those of them that were assigned since the last poll: their state must be restored.
    pub assigned: BTreeSet<i32>,
    /// Records of partitions that are ours, in the order of each partition.
    pub records: Vec<Record>,
    /// Partition numbers of which every input was read to its end, and when that was so.
    pub caught_up: BTreeMap<i32, Timestamp>,
    /// Time acts as well: [`crate::limits::TICK`] has passed since it did last.
    pub tick: bool,
    /// Kafka has gone from sight, and how that shows.
    pub outage: Option<String>,
}

/// What must be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same call may succeed.
    Retriable,
    /// The transaction must be aborted, and the batch comes again.
    Abortable,
    /// Another instance has our id, or the client is broken: make new clients.
    Fatal,
    /// Waiting cannot cure it, such as a schema that the registry refuses.
    Final,
}

/// What the driver must do. Each has one answer, besides [`Event::Failed`].
#[derive(Debug)]
pub enum Effect {
    /// Fence the predecessor (`init_transactions`), then join the group. [`Event::Connected`].
    Connect,
    /// Drop consumer and producer. [`Event::Disconnected`].
    Disconnect,
    /// Wait for records. [`Event::Polled`].
    Poll,
    /// Ask for the group's positions on `partition` of every input. [`Event::Offsets`].
    FetchOffsets {
        /// The partition number.
        partition: i32,
    },
    /// Ask where a log ends. [`Event::End`].
    FetchEnd {
        /// The topic.
        topic: &'static str,
        /// The partition.
        partition: i32,
    },
    /// Ask where another group is on a partition of a topic. [`Event::End`].
    FetchReached {
        /// The group.
        group: &'static str,
        /// The topic.
        topic: &'static str,
        /// The partition.
        partition: i32,
    },
    /// Read committed records, some at a time. [`Event::Read`].
    Read {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset.
        from: i64,
        /// The first offset that is not wanted.
        to: i64,
    },
    /// Apply to the store, with its positions, in one batch. [`Event::Applied`].
    Apply(Apply),
    /// Forget what the store has of a partition. [`Event::Cleared`].
    Clear {
        /// The partition number.
        partition: i32,
    },
    /// Give the producer a new epoch (`init_transactions`). [`Event::Renewed`].
    Renew,
    /// Begin a transaction. [`Event::Begun`].
    Begin,
    /// Send, and wait until all have arrived. [`Event::Delivered`].
    Send(Vec<Outgoing>),
    /// Add offsets to the transaction. [`Event::OffsetsAccepted`].
    SendOffsets(Offsets),
    /// Commit the transaction. [`Event::Committed`].
    Commit,
    /// Commit offsets without a transaction. [`Event::Committed`].
    CommitOffsets(Offsets),
    /// Abort the transaction. [`Event::Aborted`].
    Abort,
    /// Read again from these offsets. [`Event::Sought`].
    Seek(Offsets),
    /// Wait, longer each time in a row, and say once why. [`Event::Proceed`].
    BackOff {
        /// Why.
        cause: String,
    },
    /// Give up: this is final.
    Stop(anyhow::Error),
}

/// A batch of changes for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// The partition number.
    pub partition: i32,
    /// The changes.
    pub writes: Writes,
    /// The positions of the state after them.
    pub positions: Positions,
}
