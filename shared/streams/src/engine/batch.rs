//! The decided batch, before any of its effects happens.

use super::{Offsets, Polled};
use crate::{
    Codec, Failure, Outgoing, Processor, Record, Timestamp, Tx,
    limits::{CAUSE_BYTES_MAX, clip},
    store::{Store, Writes},
};
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

/// What a batch has come to.
#[derive(Debug, Default)]
pub struct Decided {
    /// What to send, in order.
    pub outgoing: Vec<Outgoing>,
    /// What to change in the state of each partition once that is committed.
    pub writes: BTreeMap<i32, Writes>,
}

impl Decided {
    /// Whether there is nothing to send and nothing to change.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.writes.is_empty()
    }
}

/// A [`Failure`] that is no poison, and the partition whose state it was about.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) partition: i32,
    pub(super) failure: Failure,
}

/// Let `processor` decide on what was `polled`, and on what time brings to the partitions `ticked`.
/// Poison becomes a dead letter.
pub(super) fn decide<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    (now, passed): (Timestamp, &BTreeSet<String>),
    polled: &Polled,
    ticked: &[i32],
) -> Result<Decided, Failed> {
    let mut tx = Tx::new(store, codec, now);
    let failed = |tx: &Tx<'_, P::Identity>, failure| Failed { partition: tx.partition(), failure };
    for record in &polled.records {
        if is_passed(record, passed) {
            warn!(record = record.address(), "passed by, as an operator has asked for");
            continue;
        }
        tx.begin(record);
        match processor.process(record, &mut tx) {
            Ok(()) => tx.keep(),
            Err(Failure::Poison(cause)) => {
                let cause = clip(&cause, CAUSE_BYTES_MAX);
                warn!(record = record.address(), "dead letter: {cause}");
                tx.dead_letter(record, cause);
            }
            Err(failure) => return Err(failed(&tx, failure)),
        }
    }
    for partition in ticked {
        tx.begin_partition(*partition);
        processor.tick(&mut tx).map_err(|failure| failed(&tx, failure))?;
        tx.keep();
    }
    processor.flush(&mut tx).map_err(|failure| failed(&tx, failure))?;
    tx.keep();
    let (outgoing, writes) = tx.into_parts();
    Ok(Decided { outgoing, writes })
}

/// Whether an operator has put `record` aside.
pub(super) fn is_passed(record: &Record, passed: &BTreeSet<String>) -> bool {
    !passed.is_empty() && passed.contains(&record.address())
}

/// The first offset of each partition in `batch`: where to rewind to.
pub fn first_offsets(batch: &[Record]) -> Offsets {
    let mut offsets = Offsets::new();
    for record in batch {
        let place = (record.topic.to_string(), record.partition);
        let first = offsets.entry(place).or_insert(record.offset);
        *first = (*first).min(record.offset);
    }
    offsets
}

/// The offset after the last record of each partition in `batch`: where to go on.
pub fn next_offsets(batch: &[Record]) -> Offsets {
    let mut offsets = Offsets::new();
    for record in batch {
        let place = (record.topic.to_string(), record.partition);
        let next = offsets.entry(place).or_insert(0);
        *next = (*next).max(record.offset + 1);
    }
    offsets
}
