//! The reactions of an [`Engine`] to failures: the table of its module, as code.

use super::{Batch, Class, Effect, Engine, Phase, first_offsets};
use crate::{Failure, Processor, Record, Timestamp, limits::CALL_TIMEOUT, tracer::Spans};

impl<P: Processor> Engine<P> {
    /// An effect has failed.
    pub(super) fn failed(&mut self, class: Class, error: anyhow::Error, now: Timestamp) -> Effect {
        let cause = format!("{error:#}");
        if class == Class::Final {
            self.phase = Phase::Stopped;
            return Effect::Stop(error);
        }
        let since = *self.trying_since.get_or_insert(now);
        let in_time = class == Class::Retriable && now - since < CALL_TIMEOUT;
        if in_time && let Some(effect) = self.repeat() {
            return effect;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Connecting => self.back_off(cause),
            Phase::Polling if class == Class::Retriable => self.back_off(cause),
            Phase::Beginning | Phase::Sending | Phase::SendingOffsets if class != Class::Fatal => {
                self.abort(cause)
            }
            // Out of time means that its outcome is unknown: only a new epoch settles it.
            Phase::Committing if class == Class::Abortable => self.abort(cause),
            // The store cannot be written: it is a cache, so it is made again.
            Phase::Applying(_) => self.clear(self.tasks.keys().copied().collect(), cause),
            Phase::Restoring(restore) if restore.waits_for_store() => {
                self.clear(vec![restore.partition], cause)
            }
            // Why it was to be forgotten says more than why that has failed as well.
            Phase::Clearing { cause, .. } => self.disconnect(cause),
            _ => self.disconnect(cause),
        }
    }

    /// The effect that was asked for last, if it may be asked for again.
    fn repeat(&mut self) -> Option<Effect> {
        match &self.phase {
            Phase::Renewing | Phase::Doubting => Some(Effect::Renew),
            Phase::Beginning => Some(Effect::Begin),
            Phase::SendingOffsets => Some(Effect::SendOffsets(self.batch.offsets.clone())),
            Phase::Committing if self.batch.is_transaction => {
                self.batch.doubtful = true;
                Some(Effect::Commit)
            }
            Phase::Committing => Some(Effect::CommitOffsets(self.batch.offsets.clone())),
            Phase::Aborting { .. } => {
                self.batch.doubtful = true;
                Some(Effect::Abort)
            }
            Phase::Restoring(restore) => restore.repeat(),
            Phase::Verifying(left) => left.last().map(|(place, last)| read_one(place, *last)),
            Phase::Idle
            | Phase::Connecting
            | Phase::Polling
            | Phase::Sending
            | Phase::Asking
            | Phase::MakingUp
            | Phase::Applying(_)
            | Phase::Seeking { .. }
            | Phase::SettingBack
            | Phase::Clearing { .. }
            | Phase::Disconnecting { .. }
            | Phase::Waiting
            | Phase::Stopped => None,
        }
    }

    /// The processor could not decide on the batch, or not fold a record of a restore.
    pub(super) fn undecided(&mut self, partition: i32, failure: Failure) -> Effect {
        match failure {
            // A partition that is not restored must be assigned again.
            Failure::Retriable(error) if !self.unrestored.is_empty() => {
                self.disconnect(format!("{error:#}"))
            }
            Failure::Retriable(error) => {
                let cause = format!("{error:#}");
                self.forget_batch(&cause);
                self.rewind(cause)
            }
            Failure::Fatal(error) => self.clear(vec![partition], format!("{error:#}")),
            Failure::Poison(cause) => {
                self.clear(vec![partition], format!("no record to blame: {cause}"))
            }
        }
    }

    /// Give the transaction up.
    pub(super) fn abort(&mut self, cause: String) -> Effect {
        self.forget_batch(&cause);
        self.batch.doubtful = false;
        self.ask(Phase::Aborting { cause }, Effect::Abort)
    }

    /// Read the last record of each partition back: what is not there was not committed.
    pub(super) fn verify(&mut self, left: Vec<((String, i32), i64)>) -> Effect {
        match left.last() {
            Some((place, last)) => {
                let read = read_one(place, *last);
                self.ask(Phase::Verifying(left), read)
            }
            None => {
                let left = self.changes();
                self.apply(left)
            }
        }
    }

    pub(super) fn read_back(
        &mut self,
        mut left: Vec<((String, i32), i64)>,
        records: &[Record],
    ) -> Effect {
        let ((topic, partition), last) = left.pop().expect("a record was asked for");
        if records.iter().any(|record| record.offset == last) {
            return self.verify(left);
        }
        let place = format!("{topic}/{partition}/{last}");
        self.disconnect(format!("{place} was committed and is not there: a torn transaction"))
    }

    /// The batch comes again.
    pub(super) fn rewind(&mut self, cause: String) -> Effect {
        let mut offsets = first_offsets(&self.batch.polled.records);
        offsets.append(&mut self.batch.first);
        // What stands in is read again from where the last batch of it ended.
        match offsets.is_empty() || self.batch.made_up {
            true => self.back_off(cause),
            false => self.ask(Phase::Seeking { cause }, Effect::Seek(offsets)),
        }
    }

    /// Forget what the store has of the partitions, and begin again with new clients: what is read
    /// back from the log is right, whatever was wrong here.
    pub(super) fn clear(&mut self, mut left: Vec<i32>, cause: String) -> Effect {
        match left.pop() {
            Some(partition) => {
                // Once, however long the disk stays full.
                if self.trouble.is_none() {
                    tracing::warn!(partition, "the state is read back from the log: {cause}");
                }
                self.ask(Phase::Clearing { left, cause }, Effect::Clear { partition })
            }
            None => self.disconnect(cause),
        }
    }

    /// Drop the clients. The next ones join the group and restore what they are given.
    pub(super) fn disconnect(&mut self, cause: String) -> Effect {
        self.forget_batch(&cause);
        self.connected = false;
        self.tasks.clear();
        self.unrestored.clear();
        // The next assignment finds the same gap, unless it was made up for.
        self.lost.clear();
        self.ask(Phase::Disconnecting { cause }, Effect::Disconnect)
    }

    pub(super) fn back_off(&mut self, cause: String) -> Effect {
        self.trouble = Some(cause.clone());
        // The group may have moved on without us: only a poll tells.
        self.look_first = true;
        self.ask(Phase::Waiting, Effect::BackOff { cause })
    }

    fn forget_batch(&mut self, cause: &str) {
        self.batch.decided.spans.fail_all(cause);
        self.batch.decided.spans = Spans::default();
        self.processor.reset();
        self.forget_held(cause);
        let Batch { polled, first, .. } = &self.batch;
        self.batch_failed |= !(polled.records.is_empty() && first.is_empty());
    }
}

/// Read one record.
fn read_one((topic, partition): &(String, i32), offset: i64) -> Effect {
    let (topic, partition) = (topic.clone(), *partition);
    Effect::Read { topic, partition, from: offset, to: offset + 1 }
}
