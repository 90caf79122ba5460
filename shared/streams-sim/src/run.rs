//! [`run`]: chooses the next step. One thread, one step at a time, everything from the seed.

use crate::{
    faults::{CLOCK_JUMP, FREEZE, Fault, Faults, REBALANCE, TWIN},
    process::{Actor, Condition, Process, Progress},
    sim::{START, Sim},
    trace::Trace,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::limits::TRANSACTION_TIMEOUT;

/// Longest time to come to rest once nothing goes wrong any more.
const REST_MAX: Duration = Duration::from_secs(15 * 60);

/// The simulated program, and the world around it.
pub trait World: Sized {
    /// How many parts of the world move by themselves: clients, other systems.
    const PARTS: usize;

    /// The actors of a process that begins: one instance of a service.
    fn start(
        &mut self,
        sim: &mut Sim,
        service: &'static str,
        instance: u32,
    ) -> Vec<Box<dyn Actor<Self>>>;

    /// A step of one of the parts.
    fn step(&mut self, sim: &mut Sim, part: usize) -> Progress;

    /// Whether every request was made.
    fn is_done(&self) -> bool;

    /// Longer than anything waits that [`World::next_due`] does not know of.
    fn silence(&self) -> Duration;

    /// After a silence: when work is due that waits for longer than one.
    fn next_due(&self, _: &Sim) -> Option<streams::Timestamp> {
        None
    }
}

/// What has come of a run.
#[derive(Debug)]
pub struct Ran {
    /// Whether the program came to rest after the faults.
    pub rested: bool,
    /// How often each fault has struck.
    pub faults: BTreeMap<Fault, u32>,
    /// Every strike that the seed has brought, taken back or not.
    pub strikes: BTreeSet<(Fault, u32)>,
    /// Steps of the simulation.
    pub steps: u64,
    /// How long it was for the program.
    pub virtual_time: Duration,
    /// Distinguishes two runs by the contents of the logs.
    pub digest: u64,
    /// What has happened, if it was kept.
    pub trace: Trace,
}

/// Run `instances` of each service in `world` until no work is left, and `look` at what is there
/// then. First everything goes wrong that the seed brings; then the faults stop.
pub fn run<W: World, T>(
    sim: Sim,
    world: W,
    services: impl IntoIterator<Item = &'static str>,
    instances: u32,
    look: impl FnOnce(&Sim, &W) -> T,
) -> (Ran, T) {
    let mut run = Run::new(sim, world, services, instances);
    while !run.world.is_done() {
        run.step();
    }
    for _ in 0..run.sim.dice.u32(0..2_000) {
        run.step();
    }
    let rested = run.come_to_rest();
    let Run { sim, world, .. } = run;
    let seen = look(&sim, &world);
    let (faults, strikes) = sim.outside.faults(|f| (f.struck().clone(), f.drawn()));
    let (steps, virtual_time) = (sim.step, sim.now - START);
    let digest = sim.kafka.digest();
    (Ran { rested, faults, strikes, steps, virtual_time, digest, trace: sim.trace }, seen)
}

/// A run that goes on step by step, for as long as its caller wants: what [`run`] does, with the
/// caller looking on and able to interfere between any two steps.
pub struct Run<W> {
    /// Time, dice, Kafka, faults, trace.
    pub sim: Sim,
    /// The program's.
    pub world: W,
    processes: Vec<Process<W>>,
}

fn at_work<'a, W>(processes: &'a mut [Process<W>], service: &str) -> Option<&'a mut Process<W>> {
    let up = |process: &&mut Process<W>| process.condition() == Condition::Up;
    processes.iter_mut().filter(|process| process.service == service).find(up)
}

impl<W: World> Run<W> {
    /// `instances` of each service in `world`, before the first step.
    pub fn new(
        sim: Sim,
        world: W,
        services: impl IntoIterator<Item = &'static str>,
        instances: u32,
    ) -> Self {
        let mut run = Self { sim, world, processes: Vec::new() };
        for service in services {
            (0..instances).for_each(|instance| run.start(service, instance));
        }
        run
    }

    /// Each process: its service, and how it is.
    pub fn conditions(&self) -> impl Iterator<Item = (&'static str, Condition)> {
        self.processes.iter().map(|process| (process.service, process.condition()))
    }

    /// A process of `service` that is at work dies, whatever it is doing; false if none is.
    pub fn crash(&mut self, service: &str) -> bool {
        let Self { sim, processes, .. } = self;
        at_work(processes, service).map(|process| process.die(sim)).is_some()
    }

    /// A process of `service` that is at work freezes; false if none is.
    pub fn freeze(&mut self, service: &str) -> bool {
        let Self { sim, processes, .. } = self;
        at_work(processes, service).map(|process| process.freeze(sim)).is_some()
    }

    fn start(&mut self, service: &'static str, instance: u32) {
        let actors = self.world.start(&mut self.sim, service, instance);
        self.processes.push(Process::new(service, instance, actors));
    }

    /// One step of a process or of the world around.
    pub fn step(&mut self) {
        let sim = &mut self.sim;
        sim.step += 1;
        let passed = Duration::from_millis(sim.dice.u64(0..=2));
        sim.pass(passed);
        if sim.strikes(CLOCK_JUMP, "clock") {
            let jump = Duration::from_millis(sim.dice.u64(1_000..=60_000));
            sim.pass(jump);
        }
        self.wake(false);
        let sim = &mut self.sim;
        match sim.dice.usize(0..=W::PARTS + self.processes.len()) {
            0 => self.broker(),
            part if part <= W::PARTS => drop(self.world.step(sim, part - 1)),
            chosen => self.step_process(chosen - W::PARTS - 1),
        }
    }

    fn step_process(&mut self, chosen: usize) {
        let (sim, process) = (&mut self.sim, &mut self.processes[chosen]);
        if sim.strikes(FREEZE, "process") {
            process.freeze(sim);
        }
        let actor = sim.dice.usize(0..process.actors());
        process.step(sim, &mut self.world, actor);
        if sim.strikes(TWIN, "process") && process.is_replaced(sim) {
            let (service, instance) = (process.service, process.instance);
            self.start(service, instance);
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
        if sim.strikes(REBALANCE, "broker") {
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

    /// The faults stop and all processes are back. They continue until no work is left, and none is
    /// due later. False if that does not come.
    fn come_to_rest(&mut self) -> bool {
        self.sim.outside.faults(Faults::stop);
        self.wake(true);
        self.sim.note("world", None, || "the faults are over".to_owned());
        while self.fall_silent() {
            let Some(next_at) = self.world.next_due(&self.sim) else { return true };
            // Longer than anything else waits: hours, in which nothing happens.
            let wait = next_at - self.sim.now;
            self.sim.pass(wait);
        }
        false
    }

    /// Go on until no work is left for longer than anything waits. False if that does not come.
    fn fall_silent(&mut self) -> bool {
        let (begun, mut moved_at) = (self.sim.now, self.sim.now);
        let silence = self.world.silence();
        while self.sim.now - moved_at < silence {
            if self.sim.now - begun > REST_MAX + silence {
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

    /// A step of everything; whether any of it had work.
    fn round(&mut self) -> bool {
        let (sim, world) = (&mut self.sim, &mut self.world);
        let mut moved = false;
        for part in 0..W::PARTS {
            moved |= world.step(sim, part) != Progress::Idle;
        }
        for id in sim.kafka.incomplete() {
            sim.kafka.complete(&id);
        }
        sim.kafka.expire(sim.now, TRANSACTION_TIMEOUT);
        for process in &mut self.processes {
            for actor in 0..process.actors() {
                moved |= process.step(sim, world, actor) != Progress::Idle;
            }
        }
        moved
    }
}
