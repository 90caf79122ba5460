//! Goal: whatever the seed brings, the Laws hold; and when a promise is broken on purpose, the
//! auditor notices. Every failure names the command that replays it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use simulation::{Outcome, faults, mutation::NOTICED, replay, run};
use std::{collections::BTreeMap, sync::Mutex};
use streams_sim::{Fault, Scenario, seeds::on_all_cores};

/// Seeds of the smoke, with so many orders each. `./shop simulate --seeds 2000` is the long run.
const SEEDS: u64 = 100;
const ORDERS: usize = 25;

fn assert_clean(scenario: &Scenario, outcome: &Outcome) {
    let (replay, pending) = (replay(scenario), outcome.verdict.pending());
    assert!(outcome.is_clean(), "{replay}: {pending} pending\n{}", outcome.verdict);
}

#[test]
fn every_law_holds_for_every_seed() {
    let sums: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let struck: Mutex<BTreeMap<Fault, u32>> = Mutex::default();
    on_all_cores(0..SEEDS, None, |seed| {
        let scenario = Scenario::new(seed, ORDERS);
        let outcome = run(&scenario);
        assert_clean(&scenario, &outcome);
        for (status, count) in outcome.verdict.statuses {
            *sums.lock().unwrap().entry(status).or_default() += count;
        }
        for (fault, times) in outcome.ran.faults {
            *struck.lock().unwrap().entry(fault).or_default() += times;
        }
        false
    });
    let (sums, struck) = (sums.into_inner().unwrap(), struck.into_inner().unwrap());
    // What never happens is not tested.
    for ending in ["confirmed", "rejected", "cancelled", "refunded"] {
        assert!(
            sums.get(ending).is_some_and(|count| *count > 0),
            "no order was {ending}: {sums:?}"
        );
    }
    for fault in faults::all() {
        assert!(struck.get(&fault).is_some_and(|times| *times > 0), "{fault} never struck");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        let [first, second] = [(); 2].map(|()| run(&Scenario::new(seed, ORDERS)).ran);
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
        assert_eq!(first.faults, second.faults, "seed {seed}");
    }
}

#[test]
fn the_auditor_notices_every_mutation_and_nothing_else() {
    on_all_cores(NOTICED, None, |(mutation, law)| {
        for seed in 0..200 {
            let clean = Scenario::new(seed, ORDERS);
            let outcome = run(&clean.clone().with(*mutation));
            if outcome.verdict.violated().contains(law) {
                // The same seed without it is clean: it was this that was noticed.
                assert_clean(&clean, &run(&clean));
                return false;
            }
        }
        panic!("`{law}` has not noticed {mutation} in 200 seeds: {}", mutation.statement);
    });
}
