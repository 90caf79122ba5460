//! [`Outside`]: what a processor reaches besides its `Tx` while it decides, such as a database that
//! `flush` writes to. It is outside of Kafka's transaction, so it can fail, and it can succeed and
//! not tell.

use crate::faults::{Fault, Faults};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use streams::Timestamp;

/// The name of what a processor reaches outside, to arm a fault there ([`crate::Sim::arm`]).
pub const OUTSIDE: &str = "outside";

/// What an event is about, as keys of records; none where it is about everything.
pub type About = Option<BTreeSet<String>>;

/// The time, the faults and the trace, for models of other systems. Clones share them.
#[derive(Clone)]
pub struct Outside(Arc<Mutex<State>>);

struct State {
    faults: Faults,
    now: Timestamp,
    step: u64,
    read_at: u64,
    died: bool,
    traced: bool,
    notes: Vec<(About, String)>,
}

impl Outside {
    pub(crate) fn new(faults: Faults, traced: bool) -> Self {
        let (now, step, read_at) = (Timestamp::default(), 0, 0);
        let (died, notes) = (false, Vec::new());
        Self(Arc::new(Mutex::new(State { faults, now, step, read_at, died, traced, notes })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An actor is going to take a step, on what it has polled at the step `read_at`.
    pub(crate) fn begin(&self, now: Timestamp, step: u64, read_at: u64) {
        let mut state = self.lock();
        (state.now, state.step, state.read_at, state.died) = (now, step, read_at, false);
    }

    /// Look at the faults.
    pub(crate) fn faults<T>(&self, look: impl FnOnce(&mut Faults) -> T) -> T {
        look(&mut self.lock().faults)
    }

    /// What has happened meanwhile.
    pub(crate) fn take_notes(&self) -> Vec<(About, String)> {
        std::mem::take(&mut self.lock().notes)
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// The step of the simulation.
    pub fn step(&self) -> u64 {
        self.lock().step
    }

    /// The step at which the processor has polled its batch: what it has read may be as old.
    pub fn read_at(&self) -> u64 {
        self.lock().read_at
    }

    /// The process of the actor whose step it is dies before the engine goes on.
    pub fn die(&self) {
        self.lock().died = true;
    }

    /// Whether its process has died meanwhile.
    pub fn died(&self) -> bool {
        self.lock().died
    }

    /// Whether `fault` strikes now.
    pub fn strikes(&self, fault: Fault) -> bool {
        let strikes = self.lock().faults.strikes(fault, OUTSIDE);
        if strikes {
            self.note(|| (None, format!("! {fault}")));
        }
        strikes
    }

    /// Whether `fault`, which lasts for `max` at most when it strikes, is on now.
    pub fn lasts(&self, fault: Fault, max: Duration) -> bool {
        let now = self.now();
        let (is_on, begins) = self.faults(|faults| faults.lasts(fault, OUTSIDE, now, max));
        if begins {
            self.note(|| (None, format!("! {fault}")));
        }
        is_on
    }

    /// Remember what has happened, if the trace is kept.
    pub fn note(&self, what: impl FnOnce() -> (About, String)) {
        let mut state = self.lock();
        if state.traced {
            state.notes.push(what());
        }
    }
}
