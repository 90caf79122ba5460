//! [`FencedEngine`]: the runtime of a consumer whose offsets live in its own database, in the same
//! transaction as what it does, as a state machine without IO. Kafka's group only says which member
//! reads which partition; what keeps a replaced instance out is an epoch per partition in the
//! database, which every new owner raises (a fence).
//!
//! The way of a batch: poll, claim what was assigned, seek to where the database is, apply. A
//! driver tells the engine what has happened and does what it asks for, one [`Effect`] after the
//! other; every rule about failures is here and only here:
//!
//! | failure | what follows |
//! |---|---|
//! | retriable, abortable: the database is away, or its commit is unknown | rewind to the first record of the batch, back off; the offset skips records that were applied after all |
//! | fatal: fenced, or the client is broken | a new consumer, which claims its newly assigned partitions |
//! | final | stop |
//!
//! Before a claim has succeeded nothing is applied, and what was read before it is read again.

#[cfg(test)]
mod tests;

use crate::{
    Record,
    engine::{Class, Offsets, Polled, first_offsets},
    topic::TopicSpec,
};
use std::collections::BTreeSet;

/// What has happened: the answer to the last [`Effect`].
#[derive(Debug)]
pub enum Event {
    /// The engine starts, or the wait is over.
    Proceed,
    /// We have joined the group; nothing is assigned yet.
    Connected,
    /// The consumer is gone.
    Disconnected,
    /// What a poll has brought. This consumer has no timers, so the engine ignores `tick`.
    Polled(Polled),
    /// The partitions are ours in the database: the next offset of each.
    Claimed(Offsets),
    /// The next poll reads from there.
    Sought,
    /// The database has the batch, and how far it was read.
    Applied,
    /// It went wrong.
    Failed(Class, anyhow::Error),
}

/// What the driver must do. Each has one answer, besides [`Event::Failed`].
#[derive(Debug)]
pub enum Effect {
    /// Join the group. [`Event::Connected`].
    Connect,
    /// Drop the consumer. [`Event::Disconnected`].
    Disconnect,
    /// Wait for records. [`Event::Polled`].
    Poll,
    /// Raise the epochs of these partitions, so that their former owner can write no more.
    /// [`Event::Claimed`].
    Claim(Vec<(String, i32)>),
    /// Read on from these offsets. [`Event::Sought`].
    Seek(Offsets),
    /// One transaction on the database: what the records cause, and the offsets after them, guarded
    /// by the epochs. [`Event::Applied`].
    Apply(Vec<Record>),
    /// Wait, longer each time in a row, and say once why. [`Event::Proceed`].
    BackOff {
        /// Why.
        cause: String,
    },
    /// Give up: this is final.
    Stop(anyhow::Error),
}

/// What the engine waits for.
#[derive(Debug)]
enum Phase {
    Idle,
    Connecting,
    Polling,
    /// A claim, and where to rewind what was read of partitions that are claimed already.
    Claiming {
        rewind: Offsets,
    },
    /// The claim has succeeded.
    Starting,
    /// A batch, and its first offsets.
    Applying {
        rewind: Offsets,
    },
    /// Something has failed, and its records must come again.
    Rewinding {
        cause: String,
    },
    Disconnecting {
        cause: String,
    },
    Waiting,
    Stopped,
}

/// Runs one offset-fenced consumer. See the module.
pub struct FencedEngine {
    /// The names of the topics.
    inputs: Vec<&'static str>,
    phase: Phase,
    connected: bool,
    /// Partition numbers that are ours, in the group and in the database.
    claimed: BTreeSet<i32>,
    /// Partition numbers that are ours in the group alone.
    unclaimed: BTreeSet<i32>,
    /// The last batch was not applied, and has not come again.
    batch_failed: bool,
    trouble: Option<String>,
}

impl FencedEngine {
    /// An engine over these co-partitioned topics that has not started: its first event is
    /// [`Event::Proceed`].
    pub fn new(inputs: &[&'static TopicSpec]) -> Self {
        Self {
            inputs: inputs.iter().map(|topic| topic.name).collect(),
            phase: Phase::Idle,
            connected: false,
            claimed: BTreeSet::new(),
            unclaimed: BTreeSet::new(),
            batch_failed: false,
            trouble: None,
        }
    }

    /// The partition numbers that are claimed and at work.
    pub fn partitions(&self) -> impl Iterator<Item = i32> + '_ {
        self.claimed.iter().copied()
    }

    /// Why nothing goes on, from the first failure to the next success.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What to do after `event`.
    ///
    /// # Panics
    /// When the event is no answer to the last effect: a bug of the driver.
    pub fn next(&mut self, event: Event) -> Effect {
        match (std::mem::replace(&mut self.phase, Phase::Idle), event) {
            (phase, Event::Failed(class, error)) => self.failed(phase, class, error),
            (Phase::Idle | Phase::Waiting, Event::Proceed) => match self.connected {
                true => self.poll(),
                false => self.ask(Phase::Connecting, Effect::Connect),
            },
            (Phase::Connecting, Event::Connected) => {
                (self.connected, self.batch_failed) = (true, false);
                self.poll()
            }
            (Phase::Polling, Event::Polled(polled)) => self.polled(polled),
            (Phase::Claiming { rewind }, Event::Claimed(mut offsets)) => {
                offsets.extend(rewind);
                self.ask(Phase::Starting, Effect::Seek(offsets))
            }
            (Phase::Starting, Event::Sought) => {
                self.claimed.append(&mut self.unclaimed);
                self.succeeded()
            }
            (Phase::Applying { .. }, Event::Applied) => {
                self.batch_failed = false;
                self.succeeded()
            }
            (Phase::Rewinding { cause }, Event::Sought)
            | (Phase::Disconnecting { cause }, Event::Disconnected) => self.back_off(cause),
            (phase, event) => unreachable!("{event:?} is no answer in {phase:?}"),
        }
    }

    fn ask(&mut self, phase: Phase, effect: Effect) -> Effect {
        self.phase = phase;
        effect
    }

    fn poll(&mut self) -> Effect {
        self.ask(Phase::Polling, Effect::Poll)
    }

    fn polled(&mut self, polled: Polled) -> Effect {
        let Polled { owned, assigned, records, outage, .. } = polled;
        let kept = |partition: &i32| owned.contains(partition) && !assigned.contains(partition);
        if !self.claimed.iter().all(kept) {
            // What failed may be another instance's now.
            self.batch_failed = false;
        }
        self.claimed.retain(kept);
        self.unclaimed.extend(&assigned);
        self.unclaimed.retain(|partition| owned.contains(partition));
        let is_ours = |record: &Record| self.claimed.contains(&record.partition);
        let records: Vec<Record> = records.into_iter().filter(is_ours).collect();
        if !self.unclaimed.is_empty() {
            let rewind = first_offsets(&records);
            let place = |partition: i32| {
                self.inputs.iter().map(move |topic| ((*topic).to_owned(), partition))
            };
            let places = self.unclaimed.iter().flat_map(|partition| place(*partition)).collect();
            return self.ask(Phase::Claiming { rewind }, Effect::Claim(places));
        }
        if !records.is_empty() {
            let rewind = first_offsets(&records);
            return self.ask(Phase::Applying { rewind }, Effect::Apply(records));
        }
        match outage {
            Some(outage) => self.back_off(outage),
            None => self.succeeded(),
        }
    }

    /// Go on. A failed batch may take some polls to come again: only its success ends the trouble.
    fn succeeded(&mut self) -> Effect {
        if !self.batch_failed {
            self.trouble = None;
        }
        self.poll()
    }

    fn failed(&mut self, phase: Phase, class: Class, error: anyhow::Error) -> Effect {
        let cause = format!("{error:#}");
        match (class, phase) {
            (Class::Final, _) => self.ask(Phase::Stopped, Effect::Stop(error)),
            (_, Phase::Connecting) => self.back_off(cause),
            (Class::Retriable | Class::Abortable, Phase::Polling) => self.back_off(cause),
            (Class::Retriable | Class::Abortable, Phase::Claiming { rewind }) => {
                self.rewind(rewind, cause)
            }
            (Class::Retriable | Class::Abortable, Phase::Applying { rewind }) => {
                self.batch_failed = true;
                self.rewind(rewind, cause)
            }
            _ => self.disconnect(cause),
        }
    }

    /// What was read from these offsets on comes again.
    fn rewind(&mut self, offsets: Offsets, cause: String) -> Effect {
        match offsets.is_empty() {
            true => self.back_off(cause),
            false => self.ask(Phase::Rewinding { cause }, Effect::Seek(offsets)),
        }
    }

    /// Drop the consumer. The next one joins the group and claims what it is given.
    fn disconnect(&mut self, cause: String) -> Effect {
        self.connected = false;
        self.claimed.clear();
        self.unclaimed.clear();
        self.ask(Phase::Disconnecting { cause }, Effect::Disconnect)
    }

    fn back_off(&mut self, cause: String) -> Effect {
        self.trouble = Some(cause.clone());
        self.ask(Phase::Waiting, Effect::BackOff { cause })
    }
}
