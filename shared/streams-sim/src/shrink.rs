//! Making a failing run small enough to be read: fewer kinds of faults, fewer requests, fewer
//! strikes, as long as it fails in the same way (delta debugging, Zeller and Hildebrandt 2002).

use crate::{run::Ran, sim::Scenario};

/// Most runs that are spent on it.
const RUNS_MAX: usize = 400;

/// A run that fails in the same way as the first one, with less in it.
pub struct Shrunk<O> {
    /// The run.
    pub scenario: Scenario,
    /// What came of it, with its trace.
    pub outcome: O,
    /// How many runs it took to find it.
    pub runs: usize,
}

struct Shrinking<R, S> {
    best: Scenario,
    run: R,
    fails_so: S,
    runs: usize,
}

/// Make `scenario`, which has failed with `outcome`, smaller. `run` runs one, and `fails_so` says
/// whether it has failed in the same way.
pub fn shrink<O: AsRef<Ran>>(
    scenario: &Scenario,
    outcome: &O,
    run: impl Fn(&Scenario) -> O,
    fails_so: impl Fn(&O) -> bool,
) -> Shrunk<O> {
    let best = Scenario { traced: false, ..scenario.clone() };
    let mut shrinking = Shrinking { best, run, fails_so, runs: 0 };
    shrinking.kinds(outcome.as_ref());
    shrinking.requests();
    shrinking.strikes();
    shrinking.requests();
    let scenario = Scenario { traced: true, ..shrinking.best };
    let outcome = (shrinking.run)(&scenario);
    Shrunk { scenario, outcome, runs: shrinking.runs }
}

impl<O: AsRef<Ran>, R: Fn(&Scenario) -> O, S: Fn(&O) -> bool> Shrinking<R, S> {
    /// Take `candidate` if it fails as well; what came of it.
    fn try_out(&mut self, candidate: Scenario) -> Option<O> {
        if self.runs == RUNS_MAX {
            return None;
        }
        self.runs += 1;
        let outcome = (self.run)(&candidate);
        (self.fails_so)(&outcome).then(|| {
            self.best = candidate;
            outcome
        })
    }

    fn kinds(&mut self, ran: &Ran) {
        for fault in ran.faults.keys() {
            let mut candidate = self.best.clone();
            candidate.mercy.kinds.insert(*fault);
            self.try_out(candidate);
        }
    }

    fn requests(&mut self) {
        let all = (0..self.best.requests).filter(|number| !self.best.dropped.contains(number));
        let requests: Vec<usize> = all.collect();
        self.remove(requests, |scenario, number| scenario.dropped.extend([*number]));
    }

    fn strikes(&mut self) {
        let Some(outcome) = self.try_out(self.best.clone()) else { return };
        let strikes: Vec<_> = outcome.as_ref().strikes.iter().copied().collect();
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
