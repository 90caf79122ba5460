//! A minute of chaos: a shop of its own under load, things that break by a fixed seed, and a clean
//! verdict.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;

/// A plan of one minute, and what of it this test is about. Longer ones are for the command.
const SEED: &str = "670";
const MINUTES: [&str; 2] = ["--minutes", "1"];
const FAULTS: [&str; 5] = [
    "bank outage",
    "kill kafka",
    "connector payments-outbox paused",
    "freeze email",
    "garbage order-validations",
];

fn chaos(seed: &str, args: &[&str]) -> (bool, String) {
    let program = client::program().unwrap();
    let output = Command::new(program).args(["chaos", "--seed", seed]).args(args).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn a_shop_recovers_from_a_minute_of_chaos() {
    let (content, plan) = chaos(SEED, &[&MINUTES[..], &["--plan"]].concat());
    assert!(content, "{plan}");
    for fault in FAULTS {
        assert!(plan.contains(fault), "{fault} is missing in\n{plan}");
    }
    let picture = tempfile::Builder::new().suffix(".svg").tempfile().unwrap();
    let path = picture.path().to_str().unwrap();
    let secured = e2e_tests::secured().unwrap().then_some("--secured");
    let run = [&MINUTES[..], &["--rate", "10", "--svg", path], secured.as_slice()].concat();
    let (clean, told) = chaos(SEED, &run);
    assert!(clean, "{told}");
    // On the page of a test that has passed, this is what there is to see.
    println!("{told}");
    for words in ["under way            0", "verdict: clean"] {
        assert!(told.contains(words), "{words} is missing in\n{told}");
    }
    for fault in plan.lines().filter_map(|line| line.split_once(" s  ")) {
        let name = fault.1.split(" for ").next().unwrap();
        assert!(told.contains(name), "{name} was planned and did not happen:\n{told}");
    }
    let picture = std::fs::read_to_string(path).unwrap();
    assert!(picture.contains("orders per second") && picture.len() < 100_000);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_started() {
    for (args, named) in [
        (["--minutes", "0.1"], "at least 0.67"),
        (["--minutes", "0"], "above 0"),
        (["--rate", "0"], "above 0"),
        (["--mix", "fancy=1"], "sold-out"),
        (["--svg", "/no/such/folder/x.svg"], "--svg"),
        (["--secured", "--running"], "cannot be used with"),
    ] {
        let (content, told) = chaos("1", &args);
        assert!(!content && told.contains(named), "{args:?}: {told}");
    }
}
