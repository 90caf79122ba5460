//! Many seeds as one HTML file: what struck, what came of it, and each violation with its shrunk
//! trace.

use crate::{Outcome, failure::Failure};
use auditor::Violation;
use maud::{Markup, html};
use std::{collections::BTreeMap, fmt::Display};

/// What the page shows of all runs.
pub(crate) struct Shown<'a, F> {
    /// The command.
    pub(crate) title: &'a str,
    /// The sums, in words.
    pub(crate) sums: Vec<String>,
    /// How often each fault has struck.
    pub(crate) faults: &'a BTreeMap<F, u64>,
    /// The lowest seed that has failed.
    pub(crate) failed: Option<Failed<'a>>,
}

/// A seed that has failed.
pub(crate) struct Failed<'a> {
    pub(crate) seed: u64,
    pub(crate) outcome: &'a Outcome,
    pub(crate) replay: String,
    pub(crate) complaints: Vec<String>,
    /// Each law that it breaks.
    pub(crate) failures: Vec<Failure>,
}

impl<F: Display> Shown<'_, F> {
    /// The file.
    pub(crate) fn page(&self) -> String {
        let body = html! {
            @for line in &self.sums { p { (line) } }
            h2 { "Faults that struck" }
            (report::bars(self.faults.iter().map(|(fault, count)| (fault, *count))))
            @if let Some(failed) = &self.failed { (failed.body()) }
        };
        let wrong = self.failed.as_ref().map_or(Vec::new(), Failed::wrong);
        report::page(self.title, &wrong, &body)
    }
}

impl Failed<'_> {
    fn wrong(&self) -> Vec<String> {
        let seed = format!("seed {} fails", self.seed);
        [seed].into_iter().chain(self.complaints.iter().cloned()).collect()
    }

    fn body(&self) -> Markup {
        // The trace of a law stands at its first violation alone.
        let verdict = &self.outcome.verdict;
        let is_first = |violation: &Violation| {
            let first = verdict.violations.iter().find(|other| other.law == violation.law);
            first.is_some_and(|first| std::ptr::eq(first, violation))
        };
        let shrunk = |violation: &Violation| {
            let of_law = self.failures.iter().find(|failure| failure.law == Some(violation.law));
            let failure = of_law.filter(|_| is_first(violation));
            failure.map_or_else(|| html! {}, trace)
        };
        html! {
            h2 { "Seed " (self.seed) }
            p { "Replay: " code { (self.replay) } }
            (report::violations(verdict, shrunk))
            // What breaks no law stands alone.
            @for failure in self.failures.iter().filter(|failure| failure.law.is_none()) {
                section.violation { (trace(failure)) }
            }
        }
    }
}

/// The smallest run that fails so.
fn trace(failure: &Failure) -> Markup {
    let told = failure.outcome().verdict.violations.iter();
    let told = told.filter(|violation| failure.law.is_none_or(|law| violation.law == law));
    html! {
        p { "The same law, " (failure.size()) ":" }
        ul { @for violation in told.take(3) { li { (violation) } } }
        (report::details("Shrunk trace", failure.trace()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure::complaints, run};
    use streams_sim::{Scenario, mutation::NO_TRANSACTIONS};

    /// The first run without transactions that breaks a law.
    fn failing() -> Scenario {
        let runs = (0..200).map(|seed| Scenario::new(seed, 10).with(NO_TRANSACTIONS));
        let mut failing = runs.filter(|scenario| !run(scenario).verdict.is_clean());
        let scenario = failing.next().expect("the auditor notices it in 200 seeds");
        Scenario { traced: true, ..scenario }
    }

    #[test]
    fn a_failure_has_its_faults_its_replay_and_each_violation_with_a_trace() {
        let scenario = failing();
        let outcome = run(&scenario);
        let failed = Failed {
            seed: scenario.seed,
            outcome: &outcome,
            replay: crate::replay(&scenario),
            complaints: complaints(&outcome),
            failures: vec![Failure::whole(scenario)],
        };
        let faults = BTreeMap::from([("crash", 3), ("expel", 1)]);
        let (title, sums) = ("./shop simulate", vec!["1 seed".to_owned()]);
        let page = Shown { title, sums, faults: &faults, failed: Some(failed) }.page();
        let law = outcome.verdict.violated().into_iter().next().unwrap();
        for text in ["NOT clean", "Shrunk trace", "<meter", "no-transactions", law.name()] {
            assert!(page.contains(text), "{text} is missing in\n{page}");
        }
        assert!(page.contains("The story of the order") || outcome.verdict.stories.is_empty());
        assert_eq!(page.matches("Shrunk trace").count(), 1, "at the first violation of its law");
        assert!(!page.contains("<script") && !page.contains("://"), "it needs nothing else");
    }
}
