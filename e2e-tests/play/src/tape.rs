//! [`Tape`]: what has happened between two steps of a run, as the page gets it.

use auditor::{Moment, Verdict, Violation};
use serde::Serialize;
use simulation::live::Happening;
use std::collections::{BTreeMap, BTreeSet};

/// A piece of a run.
#[derive(Debug, Serialize)]
pub struct Tape {
    /// After this step.
    pub from: u64,
    /// Up to this one.
    pub to: u64,
    /// Whether nothing comes after it.
    pub over: bool,
    /// Pairs of a step and of its time, in milliseconds since the run began.
    pub clock: Vec<(u64, i64)>,
    /// What has happened, in its order.
    pub entries: Vec<Entry>,
}

/// Something that has happened.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// At which step.
    pub t: u64,
    /// When, in milliseconds since the run began.
    pub ms: i64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What an entry says.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum What {
    /// Of the shop.
    Shop(Happening),
    /// Of the auditor.
    Audit(Audit),
}

/// What the auditor has found.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Audit {
    /// How laws stand whose standing has changed, by name.
    Laws {
        /// Checks of all laws.
        checked: usize,
        /// Effects that are still on their way.
        pending: usize,
        /// The standing.
        laws: BTreeMap<&'static str, Standing>,
    },
    /// A violation.
    Violation {
        /// What is violated.
        #[serde(flatten)]
        violation: Box<Violation>,
        /// The name of the law.
        name: &'static str,
        /// What happened to its order.
        story: Vec<Moment>,
    },
    /// All orders have ended, and nothing is on its way.
    Rest,
}

/// How a law stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// There was nothing to look at yet.
    Unseen,
    /// It does not hold yet, and there is still time.
    Waits,
    /// It holds.
    Holds,
    /// It is broken.
    Broken,
}

/// What was told of the verdicts so far.
#[derive(Default)]
pub(crate) struct Told {
    laws: BTreeMap<&'static str, Standing>,
    violations: BTreeSet<String>,
}

impl Told {
    /// What is new in `verdict`.
    pub(crate) fn news(&mut self, verdict: &Verdict) -> Vec<Audit> {
        let mut changed = BTreeMap::new();
        for (law, tally) in &verdict.tallies {
            let standing = match tally {
                tally if tally.violations > 0 => Standing::Broken,
                tally if tally.pending > 0 => Standing::Waits,
                tally if tally.checked > 0 => Standing::Holds,
                _ => Standing::Unseen,
            };
            let before = self.laws.insert(law.name(), standing).unwrap_or(Standing::Unseen);
            if before != standing {
                changed.insert(law.name(), standing);
            }
        }
        let mut news = Vec::new();
        if !changed.is_empty() {
            let checked = verdict.tallies.values().map(|tally| tally.checked).sum();
            news.push(Audit::Laws { checked, pending: verdict.pending(), laws: changed });
        }
        for violation in &verdict.violations {
            let Violation { law, order, sku, .. } = violation;
            if self.violations.insert(format!("{law} {order:?} {sku:?}")) {
                let story = order.and_then(|order| verdict.stories.get(&order).cloned());
                news.push(Audit::Violation {
                    violation: Box::new(violation.clone()),
                    name: law.name(),
                    story: story.unwrap_or_default(),
                });
            }
        }
        news
    }
}
