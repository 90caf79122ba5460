//! A process: the actors that live and die together, and what can happen to it as a whole.

use crate::{faults::LOST_DISK, sim::Sim};
use std::time::Duration;
use streams::{Timestamp, limits::SESSION_TIMEOUT};

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
}

impl<W> Process<W> {
    /// A process of these actors.
    pub(crate) fn new(
        service: &'static str,
        instance: u32,
        actors: Vec<Box<dyn Actor<W>>>,
    ) -> Self {
        let (state, session_ends) = (State::Up, None);
        Self { service, instance, actors, state, session_ends, ghost_until: None }
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
        sim.outside.begin(sim.now, sim.step, sim.step);
        let progress = self.actors[actor].step(sim, world);
        for (about, what) in sim.outside.take_notes() {
            sim.note(&self.name(), about, || what);
        }
        if progress != Progress::Died && !sim.outside.died() {
            return progress;
        }
        self.die(sim);
        Progress::Died
    }

    fn die(&mut self, sim: &mut Sim) {
        let name = self.name();
        let disk_lost = sim.strikes(LOST_DISK, &name);
        for actor in &mut self.actors {
            actor.die(sim, disk_lost);
        }
        let back_at = sim.now + Duration::from_millis(sim.dice.u64(50..=12_000));
        self.state = State::Down(back_at);
        self.session_ends = Some(sim.now + SESSION_TIMEOUT);
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
