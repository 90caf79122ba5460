//! Every target, over its seeds and over what was kept of fuzzing: input that once caused a panic,
//! and a choice of what reaches code that no seed does.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use fuzz::{TARGETS, find};
use std::{collections::BTreeSet, fs, panic::catch_unwind, path::Path};

/// Largest corpus of a target, in files and bytes: it is a part of the repository.
const FILES_MAX: usize = 600;
const BYTES_MAX: u64 = 400 * 1024;

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What was kept for a target: names, and bytes.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = fs::read_dir(corpus().join(target)) else { return Vec::new() };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).unwrap())
    };
    folder.map(|entry| read(entry.unwrap())).collect()
}

#[test]
fn what_was_kept_harms_no_target() {
    let mut panics = Vec::new();
    for target in TARGETS {
        let seeds = (target.seeds)().into_iter().enumerate();
        let seeds = seeds.map(|(number, seed)| (format!("seed {number}"), seed));
        let inputs: Vec<_> = seeds.chain(kept(target.name)).collect();
        assert!(!inputs.is_empty(), "{} has no seed", target.name);
        for (name, bytes) in inputs {
            if catch_unwind(|| (target.run)(&bytes)).is_err() {
                panics.push(format!("{}: {name}", target.name));
            }
        }
    }
    assert!(panics.is_empty(), "the messages are above: {panics:#?}");
}

#[test]
fn whatever_comes_is_an_input() {
    for target in TARGETS {
        for input in [&[][..], &[0], &[255], &[0; 64], &[255; 64], &[b'\n'; 64]] {
            (target.run)(input);
        }
    }
}

#[test]
fn the_corpus_is_small_and_belongs_to_targets() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(find(&name).is_some(), "corpus/{name} is of no target; there are {names:?}");
        let files = kept(&name);
        let bytes: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert!(files.len() <= FILES_MAX && bytes <= BYTES_MAX, "corpus/{name}: {bytes} bytes");
    }
}
