//! The decided batch, before any of its effects happens.

use super::{Offsets, Polled};
use crate::{
    Codec, Failure, Outgoing, Passed, Processor, Record, Service, Timestamp, Tx,
    limits::{CAUSE_BYTES_MAX, clip},
    lineage::Cause,
    partition::partition_for,
    store::{Store, Writes},
    topic::{TopicSpec, Writers},
    tracer::Spans,
};
use std::collections::BTreeMap;
use tracing::{debug, warn};

/// What a batch has come to.
#[derive(Debug, Default)]
pub struct Decided {
    /// What to send, in order.
    pub outgoing: Vec<Outgoing>,
    /// What to change in the state of each partition once that is committed.
    pub writes: BTreeMap<i32, Writes>,
    /// The spans, which end with the batch.
    pub spans: Spans,
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
/// Poison becomes a dead letter. What stands in for records of a partition acts on that one,
/// its `home`.
pub(super) fn decide<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    (now, passed, group): (Timestamp, &Passed, &str),
    polled: &Polled,
    (home, ticked): (Option<i32>, &[i32]),
) -> Result<Decided, Failed> {
    let spans = Spans::of_batch(group, &polled.records);
    let mut tx = Tx::new(store, codec, now).traced(spans);
    let failed = |tx: &mut Tx<'_, P::Identity>, failure: Failure| {
        tx.spans().fail_all(&failure.to_string());
        Failed { partition: tx.partition(), failure }
    };
    // What stands in for an input is none.
    let inputs = if home.is_none() { processor.inputs() } else { Vec::new() };
    for record in &polled.records {
        if passed.has(record) {
            let Cause { correlation_id, traceparent, .. } = Cause::of(record);
            let (story, trace) = (correlation_id.as_deref(), traceparent.as_deref());
            let _story = P::Identity::story(story, trace, Some(record)).entered();
            warn!(record = record.address(), "passed by, as an operator has asked for");
            continue;
        }
        tx.begin(record);
        if let Some(home) = home {
            tx.act_on(home);
        }
        let handled = in_place(record, &inputs).and_then(|()| processor.process(record, &mut tx));
        match handled {
            Ok(()) => {
                debug!(record = record.address(), "handled");
                tx.keep();
            }
            Err(Failure::Poison(cause)) => {
                let cause = clip(&cause, CAUSE_BYTES_MAX);
                warn!(record = record.address(), "dead letter: {cause}");
                tx.dead_letter(record, cause);
            }
            Err(failure) => return Err(failed(&mut tx, failure)),
        }
    }
    for partition in ticked {
        tx.begin_partition(*partition);
        processor.tick(&mut tx).map_err(|failure| failed(&mut tx, failure))?;
        tx.keep();
    }
    processor.flush(&mut tx).map_err(|failure| failed(&mut tx, failure))?;
    tx.keep();
    let (outgoing, writes, spans) = tx.into_parts();
    Ok(Decided { outgoing, writes, spans })
}

/// A topic may have been given more partitions than it has by contract. That does not change where
/// a key belongs: what is out there was put there by another rule than ours, and has no state.
/// Rows of a table have none, and a connector puts them where it likes.
fn in_place(record: &Record, inputs: &[&'static TopicSpec]) -> Result<(), Failure> {
    let topic = inputs.iter().find(|topic| topic.name == &*record.topic);
    match topic {
        Some(topic) if record.partition >= topic.partitions() && topic.writers != Writers::Cdc => {
            let (name, partitions) = (topic.name, topic.partitions());
            let key = record.key.as_deref().unwrap_or_default();
            let place = partition_for(key, partitions);
            Err(Failure::Poison(format!(
                "{name} has {partitions} partitions by contract, and this key belongs on \
                 {place}, not on {}: a replay puts it there",
                record.partition
            )))
        }
        _ => Ok(()),
    }
}

/// The first offset of each partition in `batch`: where to rewind to.
pub fn first_offsets(batch: &[Record]) -> Offsets {
    offsets_of(batch, i64::min)
}

/// The offset after the last record of each partition in `batch`: where to go on.
pub fn next_offsets(batch: &[Record]) -> Offsets {
    let mut offsets = offsets_of(batch, i64::max);
    offsets.values_mut().for_each(|offset| *offset += 1);
    offsets
}

/// The offset of each partition in `batch` that `choose` prefers. Records of a partition come in
/// long runs, so a place is made for a run, and not for each of its records.
fn offsets_of(batch: &[Record], choose: fn(i64, i64) -> i64) -> Offsets {
    let mut offsets = Offsets::new();
    for run in batch.chunk_by(Record::is_beside) {
        let place = (run[0].topic.to_string(), run[0].partition);
        let known = offsets.entry(place).or_insert(run[0].offset);
        *known = run.iter().map(|record| record.offset).fold(*known, choose);
    }
    offsets
}
