//! The pages show the runs in `docs/bench.jsonl`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, path::PathBuf};

use bench::{Run, report};
use testkit::assert_fresh;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

#[test]
fn the_pages_show_what_was_measured() {
    let runs = Run::all_in(&file("docs/bench.jsonl")).unwrap();
    assert!(!runs.is_empty(), "docs/bench.jsonl has no run");
    let pages = [("README.md", report::HEADLINES), ("docs/performance.md", report::ALL)];
    for (page, rows) in pages {
        let text = fs::read_to_string(file(page)).unwrap();
        let mut fresh = report::page(&text, &runs, rows).unwrap();
        if page == "docs/performance.md" {
            fresh = report::page_of_scale(&fresh, &runs).unwrap();
        }
        assert_fresh("bench", page, &fresh);
    }
    assert_fresh("bench", "docs/bench.svg", &report::picture(&runs));
}
