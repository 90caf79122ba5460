//! [`Sim`]: what all parts of the shop share: time, dice, Kafka, databases, the world outside.

use crate::{
    effects::Effects,
    faults::Fault,
    mutation::Mutation,
    outside::{bank::Bank, relay::Relay},
    read,
    trace::{Event, Trace},
};
use contracts::{OrderId, Timestamp};
use fastrand::Rng;
use payments::memory::Tables;
use std::{collections::BTreeSet, time::Duration};
use streams::{Codec, Outgoing, Record};
use streams_sim::kafka::Kafka;

/// What came of one step of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There was nothing to do.
    Idle,
    /// Something was done.
    Moved,
    /// Its process has died.
    Died,
}

/// A part of a process that moves by itself, step by step.
pub(crate) trait Actor {
    /// One step, as small as can be: between any two of them others may move, and a process may
    /// die.
    fn step(&mut self, sim: &mut Sim) -> Progress;

    /// The process has died: forget everything that is not on a disk. `disk_lost`: that as well.
    fn die(&mut self, sim: &Sim, disk_lost: bool);

    /// The group that it is a member of, if it is one.
    fn group(&self) -> Option<&'static str> {
        None
    }
}

/// The world that the actors move in.
pub(crate) struct Sim {
    /// The clock of all.
    pub(crate) now: Timestamp,
    /// Steps so far.
    pub(crate) step: u64,
    /// Chooses the next step, its size and the order.
    pub(crate) dice: Rng,
    /// What is broken on purpose.
    pub(crate) mutation: Option<Mutation>,
    /// The cluster.
    pub(crate) kafka: Kafka,
    /// The real codec, over a registry in memory.
    pub(crate) codec: Codec,
    /// What view and email do while they decide, and what goes wrong.
    pub(crate) effects: Effects,
    /// The database of payments.
    pub(crate) payments: Tables,
    /// The bank.
    pub(crate) bank: Bank,
    /// Debezium, between the outbox and `orders`.
    pub(crate) relay: Relay,
    /// The addresses of what a stranger has written. An operator discards the letters about it.
    pub(crate) garbage: BTreeSet<String>,
    /// What has happened.
    pub(crate) trace: Trace,
}

impl Sim {
    /// Whether `fault` strikes `actor` now.
    pub(crate) fn strikes(&mut self, fault: Fault, actor: &str) -> bool {
        let strikes = self.effects.strikes(fault);
        if strikes {
            self.note(actor, None, || format!("! {fault}"));
        }
        strikes
    }

    /// Whether the run has this mutation.
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Let time pass.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Remember what has happened.
    pub(crate) fn note(
        &mut self,
        actor: &str,
        orders: Option<BTreeSet<OrderId>>,
        what: impl FnOnce() -> String,
    ) {
        if self.trace.is_kept() {
            let (step, at, actor) = (self.step, self.now, actor.to_owned());
            self.trace.push(Event { step, at, actor, what: what(), orders });
        }
    }

    /// Remember a record that was written at `offset`.
    pub(crate) fn note_sent(
        &mut self,
        actor: &str,
        outgoing: &Outgoing,
        partition: i32,
        offset: i64,
    ) {
        if self.trace.is_kept() {
            let (text, orders) = read::outgoing(&self.codec, outgoing);
            let place = format!("{}/{partition}@{offset}", outgoing.topic);
            self.note(actor, Some(orders), || format!("> {place}  {text}"));
        }
    }

    /// Remember a batch that was read.
    pub(crate) fn note_polled(&mut self, actor: &str, batch: &[Record]) {
        if self.trace.is_kept() {
            for record in batch {
                let (text, orders) = read::record(&self.codec, record);
                self.note(actor, Some(orders), || format!("< {}  {text}", record.address()));
            }
        }
    }
}
