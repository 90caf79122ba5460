//! The pages show the runs in `docs/bench.jsonl`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{env, fs, path::PathBuf};

use bench::{Run, report};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The file has this `text`, which `UPDATE_DOCS` writes.
fn assert_fresh(name: &str, text: &str) {
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file(name), text).unwrap();
    }
    let found = fs::read_to_string(file(name)).unwrap_or_default();
    assert!(found == text, "{name} is stale: `UPDATE_DOCS=1 cargo test -p bench` writes it");
}

#[test]
fn the_pages_show_what_was_measured() {
    let runs = Run::all_in(&file("docs/bench.jsonl")).unwrap();
    assert!(!runs.is_empty(), "docs/bench.jsonl has no run");
    let pages = [("README.md", report::HEADLINES), ("docs/performance.md", report::ALL)];
    for (page, rows) in pages {
        let text = fs::read_to_string(file(page)).unwrap();
        assert_fresh(page, &report::page(&text, &runs, rows).unwrap());
    }
    assert_fresh("docs/bench.svg", &report::picture(&runs));
}
