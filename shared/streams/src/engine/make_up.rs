//! Records that were deleted before they were read: what stands in for them is handled instead,
//! batch by batch, and then the group goes on where the log begins.

use super::{Batch, Effect, Engine, Offsets, Phase, first_offsets};
use crate::{Extent, Processor, Record, StandIn, Timestamp, engine::Polled, store::Store};
use std::collections::VecDeque;
use tracing::warn;

/// How many offsets of a stand-in make a batch: few, as what a batch does outside of Kafka may be
/// repeated.
const STEP: i64 = 48;

/// After so many batches of a stand-in the engine polls, or the group would take it for dead
/// (`max.poll.interval.ms`).
const POLL_EVERY: i64 = 20;

/// Records that are gone, and how far they are made up for.
#[derive(Debug)]
pub(super) struct MakeUp {
    /// Where they were.
    place: (String, i32),
    /// Where the log begins now.
    start: i64,
    /// What is left to read instead: topic, partition, and the group that says how far.
    left: VecDeque<(&'static str, i32, Option<&'static str>)>,
    /// Of the first of them: the next offset, and its end once that is known.
    next: i64,
    end: Option<i64>,
    /// Where the batch at hand ends.
    batch_ends: i64,
}

impl MakeUp {
    /// The partition of the input.
    pub(super) fn partition(&self) -> i32 {
        self.place.1
    }
}

impl<P: Processor> Engine<P> {
    /// The group's positions are no longer in the log of these inputs.
    pub(super) fn overtaken(&mut self, committed: &Offsets, starts: &Offsets) {
        for (place, start) in starts {
            let (topic, partition) = place;
            let from = committed.get(place).copied().unwrap_or(0);
            let stand_in = self.processor.stand_in(topic);
            let instead = match &stand_in {
                Some(StandIn { topic, .. }) => format!("made up for from {}", topic.name),
                None => "not made up for".to_owned(),
            };
            let remark = format!(
                "the offsets {from} to {} of {topic}/{partition} were deleted before they were \
                 read: {instead}",
                start - 1
            );
            warn!("{remark}");
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
            let left = stand_in.map(|stand_in| extent(stand_in, *partition)).unwrap_or_default();
            let (place, start) = (place.clone(), *start);
            self.lost.push_back(MakeUp { place, start, left, next: 0, end: None, batch_ends: 0 });
        }
    }

    /// What was polled comes again when all is made up for: its offsets must not be committed
    /// before.
    pub(super) fn make_up_first(&mut self) -> Effect {
        let polled = first_offsets(&self.batch.polled.records);
        match polled.is_empty() {
            true => self.poll(),
            false => self.ask(Phase::SettingBack, Effect::Seek(polled)),
        }
    }

    /// What is to be asked next about what is lost, if anything is.
    pub(super) fn make_up_next(&mut self) -> Option<Effect> {
        let lost = self.lost.front_mut()?;
        while lost.end.is_some_and(|end| lost.next >= end) {
            lost.left.pop_front();
            (lost.next, lost.end) = (0, None);
        }
        let Some((topic, partition, group)) = lost.left.front().copied() else {
            let MakeUp { place, start, .. } = self.lost.pop_front()?;
            let offsets = Offsets::from([(place, start)]);
            self.batch.offsets.clone_from(&offsets);
            return Some(self.ask(Phase::Committing, Effect::CommitOffsets(offsets)));
        };
        let Some(end) = lost.end else {
            let ask = match group {
                Some(group) => Effect::FetchReached { group, topic, partition },
                None => Effect::FetchEnd { topic, partition },
            };
            return Some(self.ask(Phase::Asking, ask));
        };
        let (from, to) = (lost.next, end.min(lost.next + STEP));
        let read = Effect::Read { topic: topic.to_owned(), partition, from, to };
        Some(self.ask(Phase::MakingUp, read))
    }

    /// How far the stand-in at hand goes.
    pub(super) fn stand_in_ends(&mut self, end: i64) -> Effect {
        if let Some(lost) = self.lost.front_mut() {
            lost.end = Some(end);
        }
        self.poll()
    }

    /// A batch of a stand-in.
    pub(super) fn make_up(
        &mut self,
        records: Vec<Record>,
        next: i64,
        now: Timestamp,
        store: &dyn Store,
    ) -> Effect {
        if let Some(lost) = self.lost.front_mut() {
            self.look_first = (lost.next / STEP) % POLL_EVERY == POLL_EVERY - 1;
            lost.batch_ends = next;
        }
        let owned = self.tasks.keys().copied().collect();
        let polled = Polled { owned, records, ..Polled::default() };
        self.batch = Batch { polled, made_up: true, ..Batch::default() };
        self.decide(now, store)
    }

    /// The partition that a batch of a stand-in acts on.
    pub(super) fn home(&self) -> Option<i32> {
        let lost = self.lost.front().filter(|_| self.batch.made_up)?;
        Some(lost.partition())
    }

    /// The batch is done with, if it was one of a stand-in.
    pub(super) fn made_up(&mut self) {
        if let Some(lost) = self.lost.front_mut().filter(|_| self.batch.made_up) {
            lost.next = lost.batch_ends;
        }
    }
}

/// The partitions to read for `partition` of the input.
fn extent(
    StandIn { topic, extent }: StandIn,
    partition: i32,
) -> VecDeque<(&'static str, i32, Option<&'static str>)> {
    match extent {
        Extent::ReachedBy(group) => VecDeque::from([(topic.name, partition, Some(group))]),
        Extent::Whole => (0..topic.partitions()).map(|p| (topic.name, p, None)).collect(),
    }
}
