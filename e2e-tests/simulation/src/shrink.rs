//! Making a failing run small enough to be read: fewer kinds of faults, fewer orders, fewer
//! strikes, as long as the same law is broken (delta debugging, Zeller and Hildebrandt 2002).

use crate::{Outcome, Scenario};
use auditor::Law;
use std::collections::BTreeSet;

/// Most runs that are spent on it.
const RUNS_MAX: usize = 400;

/// A run that fails in the same way as the first one, with less in it.
pub struct Shrunk {
    /// The run.
    pub scenario: Scenario,
    /// What came of it, with its trace.
    pub outcome: Outcome,
    /// How many runs it took to find it.
    pub runs: usize,
}

struct Shrinking {
    best: Scenario,
    laws: BTreeSet<Law>,
    runs: usize,
}

/// Make `scenario`, which has failed with `outcome`, smaller.
pub fn shrink(scenario: &Scenario, outcome: &Outcome) -> Shrunk {
    let best = Scenario { traced: false, ..scenario.clone() };
    let mut shrinking =
        Shrinking { best, laws: outcome.verdict.violated().into_iter().take(1).collect(), runs: 0 };
    shrinking.kinds(outcome);
    shrinking.orders();
    shrinking.strikes();
    shrinking.orders();
    let scenario = Scenario { traced: true, ..shrinking.best };
    let outcome = scenario.run();
    Shrunk { scenario, outcome, runs: shrinking.runs }
}

impl Shrinking {
    /// Take `candidate` if it fails as well; what came of it.
    fn try_out(&mut self, candidate: Scenario) -> Option<Outcome> {
        if self.runs == RUNS_MAX {
            return None;
        }
        self.runs += 1;
        let outcome = candidate.run();
        let same = match self.laws.is_empty() {
            true => !outcome.is_clean(),
            false => !outcome.verdict.violated().is_disjoint(&self.laws),
        };
        same.then(|| {
            self.best = candidate;
            outcome
        })
    }

    fn kinds(&mut self, outcome: &Outcome) {
        for fault in outcome.faults.keys() {
            let mut candidate = self.best.clone();
            candidate.mercy.kinds.insert(*fault);
            self.try_out(candidate);
        }
    }

    fn orders(&mut self) {
        let all = (0..self.best.orders).filter(|number| !self.best.dropped.contains(number));
        let orders: Vec<usize> = all.collect();
        self.remove(orders, |scenario, number| scenario.dropped.extend([*number]));
    }

    fn strikes(&mut self) {
        let Some(outcome) = self.try_out(self.best.clone()) else { return };
        let strikes: Vec<_> = outcome.strikes.into_iter().collect();
        self.remove(strikes, |scenario, strike| scenario.mercy.strikes.extend([*strike]));
    }

    /// Try to do without `parts`: large pieces of them first, at last each by itself.
    fn remove<T: Clone>(&mut self, mut parts: Vec<T>, mut without: impl FnMut(&mut Scenario, &T)) {
        let mut size = parts.len().div_ceil(2);
        while size > 0 && !parts.is_empty() {
            let mut from = 0;
            while from < parts.len() {
                let until = (from + size).min(parts.len());
                let mut candidate = self.best.clone();
                parts[from..until].iter().for_each(|part| without(&mut candidate, part));
                match self.try_out(candidate) {
                    Some(_) => drop(parts.drain(from..until)),
                    None => from = until,
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
}
