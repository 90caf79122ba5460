//! The events of a run, for people; the simulation keeps them only when they are printed.

use crate::outside::About;
use std::{collections::BTreeSet, fmt};
use streams::Timestamp;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which step of the simulation.
    pub step: u64,
    /// The virtual time.
    pub at: Timestamp,
    /// The process of the event.
    pub actor: String,
    /// What.
    pub what: String,
    /// The keys that it is about; none where it is about all of them.
    pub about: About,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { step, at, actor, what, .. } = self;
        let (seconds, millis) = (at.millis() / 1000 % 100_000, at.millis() % 1000);
        write!(f, "{step:>6} {seconds:>5}.{millis:03}  {actor:<18} {what}")
    }
}

/// The events of a run.
#[derive(Debug, Default)]
pub struct Trace {
    events: Option<Vec<Event>>,
}

impl Trace {
    /// A trace that keeps everything, if it is `kept`.
    pub fn new(kept: bool) -> Self {
        Self { events: kept.then(Vec::new) }
    }

    /// Whether the trace is printed.
    pub fn is_kept(&self) -> bool {
        self.events.is_some()
    }

    /// Keep `event`.
    pub fn push(&mut self, event: Event) {
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    /// What was kept since the last call, which is kept no longer.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.events.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What was kept.
    pub fn events(&self) -> &[Event] {
        self.events.as_deref().unwrap_or_default()
    }

    /// The events about one of `keys`, and those that are about all: what a reader needs.
    pub fn about<'a>(&'a self, keys: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Event> {
        let concerns =
            |event: &&Event| event.about.as_ref().is_none_or(|about| !about.is_disjoint(keys));
        self.events().iter().filter(concerns)
    }
}
