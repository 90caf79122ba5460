//! One turn of a loop, apart from Kafka: what a batch comes to, and what becomes of the state once
//! that is committed. The transactional loop and the simulation go by the same code.

use crate::Timestamp;
use crate::{
    Codec, Failure, Outgoing, Processor, Record, Tx, UpTo,
    store::{Positions, Store, Writes},
};
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

/// An offset per topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// What a batch has come to, before any of it happens.
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

/// Let `processor` decide on `batch`, and on what time brings to the partitions `ticked`. Poison
/// becomes a dead letter.
///
/// # Errors
/// The processor's [`Failure`]; the batch must come again, after [`Processor::reset`].
pub fn decide<P: Processor>(
    processor: &mut P,
    store: &dyn Store,
    codec: &Codec,
    now: Timestamp,
    batch: &[Record],
    ticked: &[i32],
) -> Result<Decided, Failure> {
    let mut tx = Tx::new(store, codec, now);
    for record in batch {
        tx.begin(record);
        match processor.process(record, &mut tx) {
            Ok(()) => tx.keep(),
            Err(Failure::Poison(cause)) => {
                warn!(record = record.address(), "dead letter: {cause}");
                tx.dead_letter(record, &cause);
            }
            Err(failure) => return Err(failure),
        }
    }
    for partition in ticked {
        tx.begin_partition(*partition);
        processor.tick(&mut tx)?;
        tx.keep();
    }
    processor.flush(&mut tx)?;
    tx.keep();
    let (outgoing, writes) = tx.into_parts();
    Ok(Decided { outgoing, writes })
}

/// A turn is committed: bring the store up to it, each partition with its positions in `tasks`.
/// `offsets` were committed with it; `delivered` has the last offset per partition that was written.
///
/// # Errors
/// When the store fails.
pub fn apply<P: Processor>(
    processor: &P,
    store: &dyn Store,
    tasks: &mut BTreeMap<i32, Positions>,
    mut writes: BTreeMap<i32, Writes>,
    offsets: Offsets,
    delivered: impl IntoIterator<Item = ((String, i32), i64)>,
) -> anyhow::Result<()> {
    let sources = processor.sources();
    if sources.is_empty() {
        return Ok(());
    }
    let inputs: Vec<_> = processor.inputs().iter().map(|topic| topic.name).collect();
    // Of our own output, what is not read back as an input is in the state already.
    let is_changelog = |topic: &str| {
        let mut ends = sources.iter().filter(|source| source.up_to == UpTo::End);
        !inputs.contains(&topic) && ends.any(|source| source.topic.name == topic)
    };
    let delivered = delivered.into_iter().filter(|((topic, _), _)| is_changelog(topic));
    let changelog = delivered.map(|(place, last)| (place, last + 1));
    let mut touched: BTreeSet<i32> = writes.keys().copied().collect();
    for ((topic, partition), next) in offsets.into_iter().chain(changelog) {
        let positions = tasks.entry(partition).or_default();
        let position = positions.entry(topic).or_insert(next);
        *position = (*position).max(next);
        touched.insert(partition);
    }
    for partition in touched {
        let positions = tasks.entry(partition).or_default();
        store.apply(partition, writes.remove(&partition).unwrap_or_default(), positions)?;
    }
    Ok(())
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
