//! Goal: whatever the seed brings, the Laws hold; and when a promise is broken on purpose, the
//! auditor notices. Every failure names the command that replays it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use simulation::{Fault, Mutation, Outcome, Scenario};
use std::{collections::BTreeMap, sync::Mutex, thread};

/// Seeds of the smoke, with so many orders each. `./shop simulate --seeds 2000` is the long run.
const SEEDS: u64 = 100;
const ORDERS: usize = 25;

/// Run `each` for every one of `parts`, on all cores.
fn on_all_cores<T: Send>(parts: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    let parts = Mutex::new(parts.into_iter().collect::<Vec<_>>());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let Some(part) = parts.lock().unwrap().pop() else { return };
            each(part);
        }
    };
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
}

fn assert_clean(scenario: &Scenario, outcome: &Outcome) {
    let replay = format!("./shop simulate --seed {} --orders {}", scenario.seed, scenario.orders);
    let pending = outcome.verdict.pending();
    assert!(outcome.is_clean(), "{replay}: {pending} pending\n{}", outcome.verdict);
}

#[test]
fn every_law_holds_for_every_seed() {
    let sums: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let faults: Mutex<BTreeMap<Fault, u32>> = Mutex::default();
    on_all_cores(0..SEEDS, |seed| {
        let scenario = Scenario::new(seed, ORDERS);
        let outcome = scenario.run();
        assert_clean(&scenario, &outcome);
        for (status, count) in outcome.verdict.statuses {
            *sums.lock().unwrap().entry(status).or_default() += count;
        }
        for (fault, struck) in outcome.faults {
            *faults.lock().unwrap().entry(fault).or_default() += struck;
        }
    });
    let (sums, faults) = (sums.into_inner().unwrap(), faults.into_inner().unwrap());
    // What never happens is not tested.
    for ending in ["confirmed", "rejected", "cancelled", "refunded"] {
        assert!(
            sums.get(ending).is_some_and(|count| *count > 0),
            "no order was {ending}: {sums:?}"
        );
    }
    for fault in Fault::ALL {
        assert!(faults.get(fault).is_some_and(|struck| *struck > 0), "{fault} never struck");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        let [first, second] = [(); 2].map(|()| Scenario::new(seed, ORDERS).run());
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
        assert_eq!(first.faults, second.faults, "seed {seed}");
    }
}

#[test]
fn the_auditor_notices_every_mutation_and_nothing_else() {
    on_all_cores(Mutation::ALL.iter().copied(), |mutation| {
        for seed in 0..200 {
            let clean = Scenario::new(seed, ORDERS);
            let outcome = clean.clone().with(mutation).run();
            if outcome.verdict.violated().contains(&mutation.noticed_by()) {
                // The same seed without it is clean: it was this that was noticed.
                assert_clean(&clean, &clean.run());
                return;
            }
        }
        let law = mutation.noticed_by();
        panic!("`{law}` has not noticed {mutation} in 200 seeds: {}", mutation.statement());
    });
}
