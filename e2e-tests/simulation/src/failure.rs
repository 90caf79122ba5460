//! A run that has failed, and for each law that it breaks the smallest run that was found to break
//! it as well.

use crate::{Outcome, run};
use auditor::{Law, Violation};
use std::collections::BTreeSet;
use streams_sim::{Event, Scenario, Shrunk, shrink};

/// Most violations that are printed.
const VIOLATIONS_MAX: usize = 12;

/// Most events of a shrunk run that are told.
const EVENTS_MAX: usize = 300;

/// A failing run, as the terminal and the HTML file show it.
pub(crate) struct Failure {
    /// The law that is broken; none if the shop did not come to rest, or a mail was repeated.
    pub(crate) law: Option<Law>,
    shrunk: Shrunk<Outcome>,
}

impl Failure {
    /// The first law that `outcome` breaks, in a run that is as small as it can be.
    pub(crate) fn first(scenario: &Scenario, outcome: &Outcome) -> Self {
        Self::shrunk(scenario, outcome, outcome.verdict.violated().into_iter().next())
    }

    /// Each law that `outcome` breaks, after the `first` one.
    pub(crate) fn others(&self, scenario: &Scenario, outcome: &Outcome) -> Vec<Self> {
        let others = outcome.verdict.violated().into_iter().filter(|law| Some(*law) != self.law);
        others.map(|law| Self::shrunk(scenario, outcome, Some(law))).collect()
    }

    fn shrunk(scenario: &Scenario, outcome: &Outcome, law: Option<Law>) -> Self {
        let shrunk = shrink(scenario, outcome, run, |candidate| match law {
            Some(law) => candidate.verdict.violated().contains(&law),
            None => !candidate.is_clean(),
        });
        Self { law, shrunk }
    }

    /// As if the run of `scenario` could not be made smaller.
    #[cfg(test)]
    pub(crate) fn whole(scenario: Scenario) -> Self {
        let outcome = run(&scenario);
        let law = outcome.verdict.violated().into_iter().next();
        Self { law, shrunk: Shrunk { scenario, outcome, runs: 1 } }
    }

    /// What came of the smallest run.
    pub(crate) fn outcome(&self) -> &Outcome {
        &self.shrunk.outcome
    }

    /// How small it is.
    pub(crate) fn size(&self) -> String {
        let scenario = &self.shrunk.scenario;
        let left = scenario.requests - scenario.dropped.len();
        let strikes: u32 = self.outcome().ran.faults.values().sum();
        format!("shrunk in {} runs to {left} orders and {strikes} faults", self.shrunk.runs)
    }

    /// The last events of the smallest run about the order of its first violation, a line each:
    /// what went wrong is at the end.
    pub(crate) fn trace(&self) -> Vec<String> {
        let Outcome { verdict, ran, .. } = self.outcome();
        let ours = |violation: &&Violation| self.law.is_none_or(|law| violation.law == law);
        let first = verdict.violations.iter().find(ours).and_then(|violation| violation.order);
        let concerned: BTreeSet<_> = first.iter().map(ToString::to_string).collect();
        let events: Vec<&Event> = match concerned.is_empty() {
            true => ran.trace.events().iter().collect(),
            false => ran.trace.about(&concerned).collect(),
        };
        let earlier = events.len().saturating_sub(EVENTS_MAX);
        let before = (earlier > 0).then(|| format!("... {earlier} events before"));
        before.into_iter().chain(events[earlier..].iter().map(ToString::to_string)).collect()
    }
}

/// What is wrong with `outcome`, in a line each.
pub(crate) fn complaints(outcome: &Outcome) -> Vec<String> {
    let told = outcome.verdict.violations.iter().take(VIOLATIONS_MAX);
    let mut lines: Vec<_> =
        told.map(|violation| format!("{}: {violation}", violation.law)).collect();
    let more = outcome.verdict.violation_count().saturating_sub(VIOLATIONS_MAX);
    if more > 0 {
        lines.push(format!("... and {more} more"));
    }
    if outcome.verdict.pending() > 0 {
        lines.push(format!("{} effects are still on their way", outcome.verdict.pending()));
    }
    if let again @ 1.. = outcome.mails_again {
        let words = "mails were sent again by an instance that knew of their arrival";
        lines.push(format!("{again} {words}"));
    }
    if !outcome.ran.rested {
        lines.push("the shop did not come to rest after the faults".to_owned());
    }
    lines
}
