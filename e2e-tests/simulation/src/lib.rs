//! The whole shop in one thread. The real processors of the services run over models of Kafka, of
//! their databases, of the bank and of the mail server; a seed decides who moves next and what goes
//! wrong; at the end the [`auditor`] looks at everything that can be seen from outside.
//!
//! The same seed gives the same run, to the byte. What is real and what is a model, and what that
//! leaves out, is in README.md.

pub mod cli;
mod effects;
mod evidence;
mod faults;
mod mutation;
mod outside;
mod payments;
mod process;
mod read;
pub mod shrink;
mod sim;
mod stage;
mod trace;
mod view;
mod world;

pub use faults::{Fault, Mercy};
pub use mutation::Mutation;
pub use trace::{Event, Trace};

use auditor::Verdict;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// How many orders the customers place.
    pub orders: usize,
    /// The promise that is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Faults that are taken back.
    pub mercy: Mercy,
    /// Orders that are left out, from 0.
    pub dropped: BTreeSet<usize>,
    /// Whether the trace is kept.
    pub traced: bool,
}

impl Scenario {
    /// The run of `seed`, with everything that it brings.
    pub fn new(seed: u64, orders: usize) -> Self {
        let (mercy, dropped) = (Mercy::default(), BTreeSet::new());
        Self { seed, orders, mutation: None, mercy, dropped, traced: false }
    }

    /// The same run with this mutation.
    pub fn with(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    /// Run it.
    pub fn run(&self) -> Outcome {
        world::World::new(self).run()
    }
}

/// What has come of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The auditor's.
    pub verdict: Verdict,
    /// Whether the shop came to rest after the faults.
    pub rested: bool,
    /// Mails that an email process has sent again after the mail server had accepted them from it.
    /// Another process, or one that lost the answer, may repeat a mail.
    pub mails_again: usize,
    /// How often each fault has struck.
    pub faults: BTreeMap<Fault, u32>,
    /// Every strike that the seed has brought, taken back or not.
    pub strikes: BTreeSet<(Fault, u32)>,
    /// Steps of the simulation.
    pub steps: u64,
    /// How long it was for the shop.
    pub virtual_time: Duration,
    /// Distinguishes two runs by the contents of the logs.
    pub digest: u64,
    /// What has happened, if it was kept.
    pub trace: Trace,
}

impl Outcome {
    /// Whether every law holds, nothing was left to do, and no mail was repeated without need.
    pub fn is_clean(&self) -> bool {
        let at_rest = self.rested && self.verdict.pending() == 0;
        at_rest && self.verdict.is_clean() && self.mails_again == 0
    }
}
