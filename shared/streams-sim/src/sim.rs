//! [`Sim`]: what all actors share: time, dice, Kafka, faults, the trace. And [`Scenario`], one run.

use crate::{
    faults::{Fault, Faults, Mercy},
    kafka::Kafka,
    mutation::{Mutation, NO_FENCING, READ_UNCOMMITTED},
    outside::{About, Outside},
    trace::{Event, Trace},
};
use fastrand::Rng;
use std::{collections::BTreeSet, time::Duration};
use streams::{Codec, Outgoing, Record, Timestamp, topic::TopicSpec};

/// The virtual time at which every run begins: 2023-11-14T22:13:20Z.
pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// One run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// How many requests come from outside.
    pub requests: usize,
    /// The promise that is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Faults that are taken back.
    pub mercy: Mercy,
    /// Requests that are left out, from 0.
    pub dropped: BTreeSet<usize>,
    /// Whether the trace is kept.
    pub traced: bool,
}

impl Scenario {
    /// The run of `seed`, with everything that it brings.
    pub fn new(seed: u64, requests: usize) -> Self {
        let (mercy, dropped) = (Mercy::default(), BTreeSet::new());
        Self { seed, requests, mutation: None, mercy, dropped, traced: false }
    }

    /// The same run with this mutation.
    pub fn with(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }
}

/// What a record says, for a trace: from its topic, its key and its value.
pub type Words = fn(&Codec, &str, &str, &[u8]) -> (String, BTreeSet<String>);

/// What the simulated program brings.
pub struct Program<'a> {
    /// Its topics, dead letters as well.
    pub topics: &'a [&'static TopicSpec],
    /// The real codec, over a registry in memory.
    pub codec: Codec,
    /// Faults of its own, besides [`crate::faults::ALL`].
    pub faults: &'a [Fault],
    /// Its records in words.
    pub words: Words,
}

/// What the actors move in.
pub struct Sim {
    /// The time, and what the log stamps.
    pub now: Timestamp,
    /// What the process at work takes for the time.
    pub here: Timestamp,
    /// Steps so far.
    pub step: u64,
    /// Chooses the next step, its size and the order.
    pub dice: Rng,
    /// The cluster.
    pub kafka: Kafka,
    /// The codec of all processors.
    pub codec: Codec,
    /// For models of what is outside of Kafka.
    pub outside: Outside,
    /// What has happened.
    pub(crate) trace: Trace,
    /// The scenario's, for dice besides those of the steps.
    pub(crate) seed: u64,
    mutation: Option<Mutation>,
    words: Words,
}

impl Sim {
    /// The start of a scenario, before anything has happened.
    pub fn new(scenario: &Scenario, program: Program<'_>) -> Self {
        let Scenario { seed, mutation, ref mercy, traced, .. } = *scenario;
        let Program { topics, codec, faults, words } = program;
        let mut kafka = Kafka::new(topics);
        kafka.uncommitted = mutation == Some(READ_UNCOMMITTED);
        kafka.unfenced = mutation == Some(NO_FENCING);
        Self {
            now: START,
            here: START,
            step: 0,
            dice: Rng::with_seed(seed),
            kafka,
            codec,
            outside: Outside::new(Faults::new(seed, faults, mercy.clone()), traced),
            trace: Trace::new(traced),
            seed,
            mutation,
            words,
        }
    }

    /// Whether `fault` strikes `actor` now.
    pub fn strikes(&mut self, fault: Fault, actor: &str) -> bool {
        let strikes = self.outside.faults(|faults| faults.strikes(fault, actor));
        if strikes {
            self.note(actor, None, || format!("! {fault}"));
        }
        strikes
    }

    /// Whether `fault`, which lasts for `max` at most when it strikes, keeps `actor` from its work.
    pub fn lasts(&mut self, fault: Fault, actor: &str, max: Duration) -> bool {
        let now = self.now;
        let (is_on, begins) = self.outside.faults(|faults| faults.lasts(fault, actor, now, max));
        if begins {
            self.note(actor, None, || format!("! {fault}"));
        }
        is_on
    }

    /// Let `fault` strike at its next opportunity with an actor whose name begins with `whom`,
    /// [`crate::OUTSIDE`] for what a processor reaches there; whatever the seed says.
    pub fn arm(&mut self, fault: Fault, whom: &'static str) {
        self.outside.faults(|faults| faults.arm(fault, whom));
    }

    /// What was kept of the trace since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.trace.take()
    }

    /// Whether the run has this mutation.
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Let time pass.
    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// Append a record that comes from outside, without a transaction, to the partition of its key;
    /// its partition and its offset.
    pub fn append(&mut self, actor: &str, outgoing: Outgoing) -> (i32, i64) {
        let place = self.kafka.append(outgoing.clone(), self.now);
        self.note_sent(actor, &outgoing, place);
        place
    }

    /// Remember what has happened.
    pub fn note(&mut self, actor: &str, about: About, what: impl FnOnce() -> String) {
        if self.trace.is_kept() {
            let (step, at, actor) = (self.step, self.now, actor.to_owned());
            self.trace.push(Event { step, at, actor, what: what(), about });
        }
    }

    /// Remember a record that was written to a partition at an offset.
    pub(crate) fn note_sent(&mut self, actor: &str, outgoing: &Outgoing, place: (i32, i64)) {
        if self.trace.is_kept() {
            let topic = outgoing.topic;
            let (text, about) = self.words(topic, &outgoing.key, &outgoing.value);
            let (partition, offset) = place;
            self.note(actor, Some(about), || format!("> {topic}/{partition}@{offset}  {text}"));
        }
    }

    /// Remember a batch that was read.
    pub(crate) fn note_polled(&mut self, actor: &str, batch: &[Record]) {
        if self.trace.is_kept() {
            for record in batch {
                let (text, about) = self.words(&record.topic, &record.key, &record.value);
                self.note(actor, Some(about), || format!("< {}  {text}", record.address()));
            }
        }
    }

    fn words(
        &self,
        topic: &str,
        key: &Option<Vec<u8>>,
        value: &Option<Vec<u8>>,
    ) -> (String, BTreeSet<String>) {
        let [key, value] = [key, value].map(|bytes| bytes.as_deref().unwrap_or_default());
        (self.words)(&self.codec, topic, &String::from_utf8_lossy(key), value)
    }
}
