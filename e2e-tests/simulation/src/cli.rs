//! The command line of `simulate`, which `./shop simulate` builds and runs.

use crate::{
    Outcome,
    failure::{Failure, complaints},
    mutation,
    page::{Failed, Shown},
    replay, run,
    world::partitions,
};
use clap::Parser;
use contracts::partition;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use streams_sim::{Fault, Mutation, Scenario, seeds::on_all_cores};

/// The exit code for a command that cannot be carried out as it stands, as clap has it.
const USAGE: u8 = 2;

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
    /// Partitions of the topics, 3 to 48.
    #[arg(long, default_value_t = partition::DEFAULT, value_parser = partition::parse_count)]
    partitions: i32,
    /// Print every event, of a run that is clean as well.
    #[arg(long)]
    trace: bool,
    /// Break a promise on purpose, and see it found: no-transactions, no-fencing and others.
    #[arg(long, value_name = "NAME", value_parser = mutation::named)]
    mutation: Option<Mutation>,
    /// Write one HTML file: the faults that struck, and each violation with its shrunk trace.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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
        if let Some(file) = self.html.as_ref().filter(|file| !is_writable(file)) {
            eprintln!("--html {}: not a file in a folder that exists", file.display());
            return ExitCode::from(USAGE);
        }
        partition::set_count(self.partitions);
        let started = Instant::now();
        let sum = self.simulate();
        let elapsed = started.elapsed();
        self.sums(&sum, elapsed).iter().for_each(|line| println!("{line}"));
        let first = sum.failed.as_ref().map(|(seed, outcome)| self.print_failure(*seed, outcome));
        let is_clean = first.is_none();
        if is_clean {
            println!("every law holds");
        }
        if let Some(file) = &self.html {
            let page = self.page(&sum, elapsed, first);
            if let Err(error) = fs::write(file, page) {
                eprintln!("cannot write {}: {error}", file.display());
                return ExitCode::FAILURE;
            }
            println!("the runs are in {}", file.display());
        }
        if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

    fn sums(&self, sum: &Sum, elapsed: Duration) -> Vec<String> {
        let orders: usize = sum.statuses.values().sum();
        let seconds = elapsed.as_secs_f64();
        let rate = orders as f64 / seconds.max(0.001);
        let mutation = self.mutation.map(|name| format!(", mutation: {name}")).unwrap_or_default();
        let virtual_minutes = sum.virtual_time.as_secs() / 60;
        vec![
            format!(
                "{} seeds, {orders} orders, {} checks of the auditor in {seconds:.1} s: \
                 {rate:.0} orders/s{mutation}",
                sum.seeds, sum.checks
            ),
            format!("{} steps, {virtual_minutes} minutes of the shop's time", sum.steps),
            format!("orders: {}", list(&sum.statuses)),
            format!("faults: {}", list(&sum.faults)),
        ]
    }

    /// The lowest seed that has failed, for the terminal; what was found out about it.
    fn print_failure(&self, seed: u64, outcome: &Outcome) -> Failure {
        println!("\nseed {seed} fails:");
        complaints(outcome).iter().for_each(|line| println!("  {line}"));
        println!("\nreplay: {}", replay(&self.scenario(seed)));
        let failure = Failure::first(&self.scenario(seed), outcome);
        println!("\n{}:", failure.size());
        complaints(failure.outcome()).iter().for_each(|line| println!("  {line}"));
        println!();
        failure.trace().iter().for_each(|line| println!("{line}"));
        failure
    }

    /// All of it as one HTML file.
    fn page(&self, sum: &Sum, elapsed: Duration, first: Option<Failure>) -> String {
        let failed = sum.failed.as_ref().zip(first).map(|((seed, outcome), first)| {
            let scenario = self.scenario(*seed);
            let mut failures = first.others(&scenario, outcome);
            failures.insert(0, first);
            let (replay, complaints) = (replay(&scenario), complaints(outcome));
            Failed { seed: *seed, outcome, replay, complaints, failures }
        });
        let mut sums = self.sums(sum, elapsed);
        sums.pop();
        Shown { title: &self.title(), sums, faults: &sum.faults, failed }.page()
    }

    /// The command that was asked for.
    fn title(&self) -> String {
        let seeds = match (self.seed, self.from) {
            (Some(seed), _) => format!("--seed {seed}"),
            (None, 0) => format!("--seeds {}", self.seeds),
            (None, from) => format!("--seeds {} --from {from}", self.seeds),
        };
        let mutation = self.mutation.map(|name| format!(" --mutation {name}")).unwrap_or_default();
        format!("./shop simulate {seeds} --orders {}{}{mutation}", self.orders, partitions())
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

/// So that an hour of seeds does not end with a file that cannot be written.
fn is_writable(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.is_none_or(Path::is_dir) && !file.is_dir()
}

fn list<K: std::fmt::Display, V: std::fmt::Display>(counts: &BTreeMap<K, V>) -> String {
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_no_file() {
        assert!(is_writable(Path::new("runs.html")));
        assert!(!is_writable(&std::env::temp_dir()));
        assert!(!is_writable(Path::new("no-such-folder/runs.html")));
    }
}
