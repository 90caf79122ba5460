//! A process: the actors that live and die together, and what can happen to it as a whole.

use crate::{
    faults::{CLOCKS_APART, LOST_DISK},
    mutation::OWN_CLOCK,
    sim::{START, Sim},
};
use fastrand::Rng;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};
use streams::{Timestamp, clock::LogClock, limits::SESSION_TIMEOUT};

/// What came of one step of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There was nothing to do.
    Idle,
    /// Something was done.
    Moved,
    /// Its process has died.
    Died,
}

/// A part of a process that moves by itself, step by step, in a world `W`.
pub trait Actor<W> {
    /// One step, as small as can be: between any two of them others may move, and a process may
    /// die.
    fn step(&mut self, sim: &mut Sim, world: &mut W) -> Progress;

    /// The process has died: forget everything that is not on a disk. `disk_lost`: that as well.
    fn die(&mut self, sim: &Sim, disk_lost: bool);

    /// The group that it is a member of, if it is one.
    fn group(&self) -> Option<&'static str> {
        None
    }
}

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// At work.
    Up,
    /// Dead, and started again later.
    Down,
    /// Stopped in the middle of what it was doing, for a while.
    Frozen,
}

/// Whether a process is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Dead, until it is started again.
    Down(Timestamp),
    /// Stopped in the middle of what it was doing.
    Frozen(Timestamp),
}

/// A process: one instance of a service.
pub(crate) struct Process<W> {
    pub(crate) service: &'static str,
    pub(crate) instance: u32,
    actors: Vec<Box<dyn Actor<W>>>,
    state: State,
    session_ends: Option<Timestamp>,
    /// It was replaced, and goes on until then.
    ghost_until: Option<Timestamp>,
    time: Time,
}

/// How often a process asks the log for the time.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What a process knows of the time, in one life.
#[derive(Default)]
struct Time {
    /// How far the clock of its host is ahead.
    skew_ms: i64,
    log: LogClock,
    asked_at: Option<Timestamp>,
    dice: Option<Rng>,
}

impl Time {
    /// What the process takes for the time, after it has asked the log if that is due. The answer
    /// comes at once or takes its time; the log has stamped the question somewhere in between.
    fn tell(&mut self, sim: &mut Sim, name: &str) -> Timestamp {
        // Only how much passes can be told by this one: it begins anywhere.
        let monotonic_ms = sim.now.millis() - START.millis();
        // Dice of their own: what time it is moves no step.
        let dice = self.dice.get_or_insert_with(|| {
            let mut hash = DefaultHasher::new();
            (sim.seed, name).hash(&mut hash);
            Rng::with_seed(hash.finish())
        });
        if self.asked_at.is_none() {
            let skew_ms = dice.i64(-120_000..=120_000);
            self.skew_ms = if sim.strikes(CLOCKS_APART, name) { skew_ms } else { 0 };
        }
        if self.asked_at.is_none_or(|at| sim.now - at >= ASK_EVERY) {
            let longest_ms = if dice.u8(0..4) == 0 { 2_000 } else { 20 };
            let took_ms = dice.i64(0..=longest_ms);
            let stamp = Timestamp(sim.now.millis() - dice.i64(0..=took_ms));
            self.log.measured(monotonic_ms - took_ms, monotonic_ms, stamp);
            self.asked_at = Some(sim.now);
        }
        match self.log.at(monotonic_ms) {
            Some(log) if !sim.has(OWN_CLOCK) => log,
            _ => Timestamp(sim.now.millis() + self.skew_ms),
        }
    }
}

impl<W> Process<W> {
    /// A process of these actors.
    pub(crate) fn new(
        service: &'static str,
        instance: u32,
        actors: Vec<Box<dyn Actor<W>>>,
    ) -> Self {
        let (state, session_ends) = (State::Up, None);
        let (ghost_until, time) = (None, Time::default());
        Self { service, instance, actors, state, session_ends, ghost_until, time }
    }

    fn name(&self) -> String {
        format!("{}-{}", self.service, self.instance)
    }

    /// How many parts of it move by themselves.
    pub(crate) fn actors(&self) -> usize {
        self.actors.len()
    }

    /// Let one of its parts take a step, if it is at work.
    pub(crate) fn step(&mut self, sim: &mut Sim, world: &mut W, actor: usize) -> Progress {
        if self.state != State::Up {
            return Progress::Idle;
        }
        let name = self.name();
        sim.here = self.time.tell(sim, &name);
        sim.outside.begin(sim.now, sim.step, sim.step);
        let progress = self.actors[actor].step(sim, world);
        for (about, what) in sim.outside.take_notes() {
            sim.note(&name, about, || what);
        }
        if progress != Progress::Died && !sim.outside.died() {
            return progress;
        }
        self.die(sim);
        Progress::Died
    }

    /// How it is, for people.
    pub(crate) fn condition(&self) -> Condition {
        match self.state {
            State::Up => Condition::Up,
            State::Down(_) => Condition::Down,
            State::Frozen(_) => Condition::Frozen,
        }
    }

    /// Die in the middle of what it is doing.
    pub(crate) fn die(&mut self, sim: &mut Sim) {
        let name = self.name();
        let disk_lost = sim.strikes(LOST_DISK, &name);
        for actor in &mut self.actors {
            actor.die(sim, disk_lost);
        }
        let back_at = sim.now + Duration::from_millis(sim.dice.u64(50..=12_000));
        self.state = State::Down(back_at);
        self.session_ends = Some(sim.now + SESSION_TIMEOUT);
        // Its dice go on, so that its next life is another one.
        self.time = Time { dice: self.time.dice.take(), ..Time::default() };
        sim.note(&name, None, || "is dead".to_owned());
    }

    /// Stop it in the middle of what it is doing.
    pub(crate) fn freeze(&mut self, sim: &mut Sim) {
        if self.state == State::Up {
            let back_at = sim.now + Duration::from_millis(sim.dice.u64(100..=30_000));
            self.state = State::Frozen(back_at);
            self.session_ends = Some(sim.now + SESSION_TIMEOUT);
        }
    }

    /// Another one takes its place, on another machine; it goes on and does not know. False if it
    /// was replaced before.
    pub(crate) fn is_replaced(&mut self, sim: &mut Sim) -> bool {
        if self.ghost_until.is_some() {
            return false;
        }
        let lives = Duration::from_millis(sim.dice.u64(100..=20_000));
        self.ghost_until = Some(sim.now + lives);
        true
    }

    /// What time does to it; false if it is gone for good.
    pub(crate) fn wake(&mut self, sim: &mut Sim, at_once: bool) -> bool {
        if self.ghost_until.is_some_and(|until| at_once || until <= sim.now) {
            return false;
        }
        if self.session_ends.is_some_and(|ends| ends <= sim.now) {
            self.session_ends = None;
            if self.ghost_until.is_none() {
                for group in self.actors.iter().filter_map(|actor| actor.group()) {
                    sim.kafka.group(group).expel(self.instance, &mut sim.dice);
                }
            }
        }
        if let State::Down(until) | State::Frozen(until) = self.state
            && (at_once || until <= sim.now)
        {
            let what = if let State::Down(_) = self.state { "starts" } else { "thaws" };
            let name = self.name();
            sim.note(&name, None, || what.to_owned());
            (self.state, self.session_ends) = (State::Up, None);
        }
        true
    }

    /// A group that it is a member of.
    pub(crate) fn group(&self) -> Option<&'static str> {
        self.actors.iter().find_map(|actor| actor.group())
    }
}
