//! A release build has no failpoint: the same file, compiled without debug assertions, neither
//! dies nor knows the variable.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{path::Path, process::Command};

const PROGRAM: &str = r#"
#![allow(dead_code)]
#[path = "FILE"]
mod failpoint;
fn main() {
    let all = [failpoint::Failpoint { name: "sent", processors: &[], when: "" }];
    failpoint::arm(&all).unwrap();
    failpoint::reached("sent");
}
"#;

/// Compile a program that passes `sent`, with or without debug assertions; the executable.
fn compile(folder: &Path, debug_assertions: bool) -> std::path::PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/failpoint.rs");
    let name = format!("passes-{debug_assertions}");
    let (source, program) = (folder.join(format!("{name}.rs")), folder.join(&name));
    std::fs::write(&source, PROGRAM.replace("FILE", file.to_str().unwrap())).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let assertions = if debug_assertions { "yes" } else { "no" };
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-C", "opt-level=2", "-C", "strip=symbols"])
        .args(["-C", &format!("debug-assertions={assertions}"), "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
fn a_release_build_neither_dies_nor_knows_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let [release, debug] = [false, true].map(|assertions| compile(folder.path(), assertions));
    let survives = |program: &Path, failpoint: &str| {
        Command::new(program).env("FAILPOINT", failpoint).output().unwrap().status.success()
    };
    assert!(!survives(&debug, "sent"), "with debug assertions it dies where it is told to");
    assert!(survives(&debug, "sent:2"), "it passes only once");
    assert!(survives(&release, "sent"));
    assert!(survives(&release, "no such point"));
    let knows = |program: &Path| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(9).any(|window| window == b"FAILPOINT")
    };
    assert!(knows(&debug) && !knows(&release));
}
