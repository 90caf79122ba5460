//! [`World`]: chooses the next step. One thread, one step at a time, everything from the seed.

use crate::{
    Outcome, Scenario,
    effects::Effects,
    evidence,
    faults::{Fault, Faults},
    mutation::Mutation,
    outside::{
        bank::{self, Bank},
        customers::{self, Customers},
        relay::{self, Relay},
    },
    process::{Process, Rules},
    sim::{Progress, Sim},
    trace::Trace,
    view::Rows,
};
use contracts::{ServiceName, Timestamp, topics};
use fastrand::Rng;
use payments::memory::Tables;
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};
use streams::{Codec, MemoryRegistry, limits::TRANSACTION_TIMEOUT};
use streams_sim::kafka::Kafka;

/// The virtual time at which every run begins: 2023-11-14T22:13:20Z.
const START: Timestamp = Timestamp(1_700_000_000_000);

/// Longest time to come to rest once nothing goes wrong any more.
const REST_MAX: Duration = Duration::from_secs(15 * 60);

/// The shop, and the world around it.
pub(crate) struct World {
    sim: Sim,
    processes: Vec<Process>,
    customers: Customers,
    rules: Rules,
}

impl World {
    /// The world of a scenario, before anything has happened.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let Scenario { seed, orders, mutation, ref mercy, ref dropped, traced } = *scenario;
        let mut dice = Rng::with_seed(seed);
        let deadline = Duration::from_secs([4, 15, 60][dice.usize(0..3)]);
        let fraud_limit_minor = (dice.u32(0..3) == 0).then(|| dice.i64(5_000..=60_000));
        let rules = Rules { deadline, fraud_limit_minor };
        let instances = dice.u32(1..=2);
        let customers = Customers::new(seed, orders, dropped, START, deadline);
        let has = |one| mutation == Some(one);
        let rows = Rows::new(has(Mutation::NoViewGuard));
        let mut sim = Sim {
            now: START,
            step: 0,
            dice,
            mutation,
            kafka: Kafka::new(&topics::ALL),
            codec: codec().clone(),
            effects: Effects::new(rows, Faults::new(seed, mercy.clone()), traced),
            payments: Tables::default(),
            bank: Bank::new(customers::DECLINED),
            relay: Relay::default(),
            garbage: BTreeSet::new(),
            trace: Trace::new(traced),
        };
        sim.kafka.uncommitted = has(Mutation::ReadUncommitted);
        sim.kafka.unfenced = has(Mutation::NoFencing);
        sim.payments.unfenced = has(Mutation::NoFencing);
        sim.bank.keyless = has(Mutation::NoBankKey);
        let mut processes = Vec::new();
        let extra = fraud_limit_minor.map(|_| ServiceName::Fraud);
        for service in ServiceName::by_default().chain(extra) {
            for instance in 0..instances {
                processes.push(Process::start(&mut sim, service, instance, rules));
            }
        }
        Self { sim, processes, customers, rules }
    }

    /// Run it to its end, and let the auditor look.
    pub(crate) fn run(mut self) -> Outcome {
        while !self.customers.are_done() {
            self.step();
        }
        for _ in 0..self.sim.dice.u32(0..2_000) {
            self.step();
        }
        let rested = self.come_to_rest();
        let (faults, strikes) = self.sim.effects.faults(|f| (f.struck().clone(), f.drawn()));
        let evidence = evidence::take(&self.sim);
        Outcome {
            verdict: auditor::audit(&evidence),
            rested,
            mails_again: self.sim.effects.mails_again(),
            faults,
            strikes,
            steps: self.sim.step,
            virtual_time: self.sim.now - START,
            digest: self.sim.kafka.digest(),
            trace: self.sim.trace,
        }
    }

    /// One step of a process or of the world around.
    fn step(&mut self) {
        let sim = &mut self.sim;
        sim.step += 1;
        let passed = Duration::from_millis(sim.dice.u64(0..=2));
        sim.pass(passed);
        if sim.strikes(Fault::ClockJump, "clock") {
            let jump = Duration::from_millis(sim.dice.u64(1_000..=60_000));
            sim.pass(jump);
        }
        self.wake(false);
        let sim = &mut self.sim;
        match sim.dice.usize(0..self.processes.len() + 4) {
            0 => drop(self.customers.step(sim)),
            1 => drop(bank::step(sim)),
            2 => drop(relay::step(sim)),
            3 => self.broker(),
            chosen => self.step_process(chosen - 4),
        }
    }

    fn step_process(&mut self, chosen: usize) {
        let (sim, process) = (&mut self.sim, &mut self.processes[chosen]);
        if sim.strikes(Fault::Freeze, "process") {
            process.freeze(sim);
        }
        let actor = sim.dice.usize(0..process.actors());
        process.step(sim, actor);
        if sim.strikes(Fault::Twin, "process") {
            let twin = process.replace(sim, self.rules);
            self.processes.extend(twin);
        }
    }

    /// What Kafka does by itself.
    fn broker(&mut self) {
        let sim = &mut self.sim;
        for id in sim.kafka.incomplete() {
            if sim.dice.bool() {
                sim.kafka.complete_one(&id, &mut sim.dice);
            }
        }
        sim.kafka.expire(sim.now, TRANSACTION_TIMEOUT);
        sim.kafka.deliver_delayed(&mut sim.dice);
        if sim.strikes(Fault::Rebalance, "broker") {
            let chosen = sim.dice.usize(0..self.processes.len());
            if let Some(group) = self.processes[chosen].group() {
                sim.kafka.group(group).rebalance(&mut sim.dice);
            }
        }
    }

    fn wake(&mut self, at_once: bool) {
        let sim = &mut self.sim;
        self.processes.retain_mut(|process| process.wake(sim, at_once));
    }

    /// The faults stop and all processes are back. They continue until no work is left, and no mail
    /// waits for its next attempt. False if that does not come.
    fn come_to_rest(&mut self) -> bool {
        self.sim.effects.faults(Faults::stop);
        self.wake(true);
        self.sim.note("world", None, || "the faults are over".to_owned());
        while self.fall_silent() {
            let Some(next_at) = evidence::last_mail_due(&self.sim) else { return true };
            // Longer than anything else waits: hours, in which nothing happens.
            let wait = next_at - self.sim.now;
            self.sim.pass(wait);
        }
        false
    }

    /// Go on until no work is left for longer than any deadline. False if that does not come.
    fn fall_silent(&mut self) -> bool {
        let (begun, mut moved_at) = (self.sim.now, self.sim.now);
        let silence = self.rules.deadline + Duration::from_secs(20);
        while self.sim.now - moved_at < silence {
            if self.sim.now - begun > REST_MAX + self.rules.deadline {
                return false;
            }
            self.sim.step += 1;
            let moved = self.round();
            if moved {
                moved_at = self.sim.now;
            }
            self.sim.pass(Duration::from_millis(if moved { 5 } else { 500 }));
        }
        true
    }

    /// A step of every process; whether any of them had work.
    fn round(&mut self) -> bool {
        let sim = &mut self.sim;
        let mut moved = bank::step(sim) || sim.bank.is_busy();
        moved |= relay::step(sim) == Progress::Moved;
        for id in sim.kafka.incomplete() {
            sim.kafka.complete(&id);
        }
        sim.kafka.expire(sim.now, TRANSACTION_TIMEOUT);
        for process in &mut self.processes {
            for actor in 0..process.actors() {
                moved |= process.step(sim, actor) != Progress::Idle;
            }
        }
        moved
    }
}

/// One codec for all runs of the process: ids of schemas are the same everywhere.
fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        codec.warm_up(&topics::ALL).expect("a registry in memory takes every schema");
        codec
    })
}
