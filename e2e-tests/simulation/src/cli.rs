//! The command line of `simulate`, which `./shop simulate` builds and runs.

use crate::{Outcome, mutation, replay, run};
use clap::Parser;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use streams_sim::{Fault, Mutation, Scenario, seeds::on_all_cores, shrink};

/// Most violations that are printed.
const VIOLATIONS_MAX: usize = 12;

/// Most events of a shrunk run that are printed.
const EVENTS_MAX: usize = 300;

/// Runs the whole shop in simulation, once per seed, and lets the auditor look at each run. Ends
/// with 0 if every law held in every run, and with 1 if one was broken: that run is made as small
/// as it can be and told event by event.
#[derive(Debug, Clone, Parser)]
#[command(name = "shop simulate", version)]
pub struct Cli {
    /// Run this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Orders per seed.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    orders: u16,
    /// Print every event, of a run that is clean as well.
    #[arg(long)]
    trace: bool,
    /// Break a promise on purpose, and see it found: no-transactions, no-fencing and others.
    #[arg(long, value_name = "NAME", value_parser = mutation::named)]
    mutation: Option<Mutation>,
    /// Seeds at a time [default: as many as there are cores].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
}

/// The sum over many runs.
#[derive(Default)]
struct Sum {
    seeds: u64,
    statuses: BTreeMap<&'static str, usize>,
    checks: usize,
    faults: BTreeMap<Fault, u64>,
    steps: u64,
    virtual_time: Duration,
    /// The lowest seed that has failed.
    failed: Option<(u64, Outcome)>,
}

impl Cli {
    /// Do what it says.
    pub fn run(&self) -> ExitCode {
        let started = Instant::now();
        let sum = self.simulate();
        self.print_sum(&sum, started.elapsed());
        let Some((seed, outcome)) = &sum.failed else {
            println!("every law holds");
            return ExitCode::SUCCESS;
        };
        self.print_failure(*seed, outcome);
        ExitCode::FAILURE
    }

    fn scenario(&self, seed: u64) -> Scenario {
        Scenario {
            mutation: self.mutation,
            traced: self.trace,
            ..Scenario::new(seed, usize::from(self.orders))
        }
    }

    fn simulate(&self) -> Sum {
        let (from, count) = self.seed.map_or((self.from, self.seeds), |seed| (seed, 1));
        let sum = Mutex::new(Sum::default());
        on_all_cores(from..from.saturating_add(count), self.jobs.map(usize::from), |seed| {
            let outcome = run(&self.scenario(seed));
            let failed = !outcome.is_clean();
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            // Of a run that has failed, the shrinker prints the events.
            if !failed {
                outcome.ran.trace.events().iter().for_each(|event| println!("{event}"));
            }
            sum.add(seed, outcome);
            failed
        });
        sum.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn print_sum(&self, sum: &Sum, elapsed: Duration) {
        let orders: usize = sum.statuses.values().sum();
        let seconds = elapsed.as_secs_f64();
        let rate = orders as f64 / seconds.max(0.001);
        let mutation = self.mutation.map(|name| format!(", mutation: {name}")).unwrap_or_default();
        println!(
            "{} seeds, {orders} orders, {} checks of the auditor in {seconds:.1} s: \
             {rate:.0} orders/s{mutation}",
            sum.seeds, sum.checks
        );
        let virtual_minutes = sum.virtual_time.as_secs() / 60;
        println!("{} steps, {virtual_minutes} minutes of the shop's time", sum.steps);
        println!("orders: {}", list(&sum.statuses));
        println!("faults: {}", list(&sum.faults));
    }

    fn print_failure(&self, seed: u64, outcome: &Outcome) {
        println!("\nseed {seed} fails:");
        print_violations(outcome);
        println!("\nreplay: {}", replay(&self.scenario(seed)));
        let law = outcome.verdict.violated().into_iter().next();
        let shrunk = shrink(&self.scenario(seed), outcome, run, |candidate| match law {
            Some(law) => candidate.verdict.violated().contains(&law),
            None => !candidate.is_clean(),
        });
        let (scenario, outcome) = (&shrunk.scenario, &shrunk.outcome);
        let left = scenario.requests - scenario.dropped.len();
        let strikes: u32 = outcome.ran.faults.values().sum();
        println!("\nshrunk in {} runs to {left} orders and {strikes} faults:", shrunk.runs);
        print_violations(outcome);
        println!();
        let first = outcome.verdict.violations.first().and_then(|violation| violation.order);
        let concerned: BTreeSet<_> = first.iter().map(ToString::to_string).collect();
        let events: Vec<_> = match concerned.is_empty() {
            true => outcome.ran.trace.events().iter().collect(),
            false => outcome.ran.trace.about(&concerned).collect(),
        };
        // What went wrong is at the end.
        let earlier = events.len().saturating_sub(EVENTS_MAX);
        if earlier > 0 {
            println!("... {earlier} events before");
        }
        events[earlier..].iter().for_each(|event| println!("{event}"));
    }
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        for (status, count) in &outcome.verdict.statuses {
            *self.statuses.entry(status).or_insert(0) += count;
        }
        self.checks += outcome.verdict.tallies.values().map(|tally| tally.checked).sum::<usize>();
        for (fault, struck) in &outcome.ran.faults {
            *self.faults.entry(*fault).or_insert(0) += u64::from(*struck);
        }
        self.steps += outcome.ran.steps;
        self.virtual_time += outcome.ran.virtual_time;
        let lowest = self.failed.as_ref().is_none_or(|(known, _)| seed < *known);
        if !outcome.is_clean() && lowest {
            self.failed = Some((seed, outcome));
        }
    }
}

fn print_violations(outcome: &Outcome) {
    for violation in outcome.verdict.violations.iter().take(VIOLATIONS_MAX) {
        println!("  {}: {violation}", violation.law);
    }
    let more = outcome.verdict.violation_count().saturating_sub(VIOLATIONS_MAX);
    if more > 0 {
        println!("  ... and {more} more");
    }
    if outcome.verdict.pending() > 0 {
        println!("  {} effects are still on their way", outcome.verdict.pending());
    }
    if let again @ 1.. = outcome.mails_again {
        println!("  {again} mails were sent again by an instance that knew of their arrival");
    }
    if !outcome.ran.rested {
        println!("  the shop did not come to rest after the faults");
    }
}

fn list<K: std::fmt::Display, V: std::fmt::Display>(counts: &BTreeMap<K, V>) -> String {
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    counts.join(", ")
}
