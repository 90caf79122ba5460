//! One partition: records and transaction markers, each with an offset.

use std::collections::BTreeMap;
use streams::Record;

/// A transaction, for as long as the simulation lasts.
pub(super) type TransactionId = usize;

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is open, or its markers are not written yet.
    Open,
    /// Its records count.
    Committed,
    /// They do not.
    Aborted,
}

enum Slot {
    Record { record: Record, transaction: Option<TransactionId> },
    Marker,
}

/// A partition of a topic.
#[derive(Default)]
pub(super) struct Partition {
    slots: Vec<Slot>,
    /// The first offset that was not deleted.
    begin: i64,
    /// The first offset of each transaction whose marker is still to come.
    open: BTreeMap<TransactionId, i64>,
    /// What has become of those that have one.
    fates: BTreeMap<TransactionId, Fate>,
}

impl Partition {
    /// The offset of the next record: the high watermark.
    pub(super) fn end(&self) -> i64 {
        self.slots.len() as i64
    }

    /// Where it begins.
    pub(super) fn begin(&self) -> i64 {
        self.begin
    }

    /// Delete all that is decided.
    pub(super) fn delete(&mut self) {
        self.begin = self.stable_end();
    }

    /// The last stable offset: the first one of an open transaction, or the end.
    pub(super) fn stable_end(&self) -> i64 {
        self.open.values().copied().min().unwrap_or_else(|| self.end())
    }

    /// Append a record; its offset. The record's own is set.
    pub(super) fn append(&mut self, mut record: Record, transaction: Option<TransactionId>) -> i64 {
        let offset = self.end();
        record.offset = offset;
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
        self.slots.push(Slot::Record { record, transaction });
        offset
    }

    /// Write the marker of a transaction.
    pub(super) fn decide(&mut self, transaction: TransactionId, fate: Fate) {
        if self.open.remove(&transaction).is_some() {
            self.fates.insert(transaction, fate);
            self.slots.push(Slot::Marker);
        }
    }

    /// Up to `max` records from `from` on, and where to go on. What is not committed is passed by,
    /// unless `uncommitted` asks for it.
    pub(super) fn read(&self, from: i64, max: usize, uncommitted: bool) -> (Vec<&Record>, i64) {
        let end = if uncommitted { self.end() } else { self.stable_end() };
        let (mut found, mut next) = (Vec::new(), from.max(self.begin));
        while next < end && found.len() < max {
            let slot = usize::try_from(next).ok().and_then(|index| self.slots.get(index));
            if let Some(Slot::Record { record, transaction }) = slot
                && (uncommitted || self.counts(*transaction))
            {
                found.push(record);
            }
            next += 1;
        }
        (found, next)
    }

    fn counts(&self, transaction: Option<TransactionId>) -> bool {
        transaction.is_none_or(|id| self.fates.get(&id) == Some(&Fate::Committed))
    }
}
