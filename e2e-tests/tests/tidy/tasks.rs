//! Nothing runs unnoticed: a task or a thread is a part of its service's Lifecycle, or it stands
//! here.

use super::{assert_none, files, imports::code};

/// The calls that begin a task or a thread without reporting its end. A `JoinSet` reports it, and
/// the caller of `spawn_blocking` waits for it.
const BEGINNINGS: [&str; 5] =
    ["tokio::spawn", "task::spawn(", "thread::spawn", "thread::Builder", "untime.spawn("];

/// The files that begin some, and what watches them. It must only shrink.
const WATCHED: [(&str, &str); 6] = [
    ("shared/service-kit/src/lifecycle.rs", "the Lifecycle itself"),
    ("shared/service-kit/src/http.rs", "Lifecycle::serve awaits the server"),
    ("shared/service-kit/src/run.rs", "waits for signals, as long as the process lives"),
    (
        "shared/streams-kafka/src/lib.rs",
        "ThreadHandle::stopped, which is given to Lifecycle::thread",
    ),
    (
        "shared/streams-kafka/src/polled.rs",
        "each call of the producer, which waits for an acknowledgement no longer than its time-out",
    ),
    (
        "services/email/src/adapters/smtp/mod.rs",
        "the processor and the check, which hear of the end of each conversation on a channel",
    ),
];

/// The beginnings in the code of a file, as `line: what`.
fn beginnings(text: &str) -> Vec<String> {
    let code = code(text);
    let begins = |line: &str| BEGINNINGS.into_iter().find(|beginning| line.contains(beginning));
    // A name that is imported would not be found where it is used, so its import is.
    let imports = |line: &str| {
        let line = line.trim_start();
        let of_tokio = line.starts_with("use tokio::") || line.starts_with("use std::thread");
        (of_tokio && has_word(line, "spawn")).then_some("an import of spawn")
    };
    let lines = code.lines().filter_map(|line| {
        let what = begins(line).or_else(|| imports(line))?;
        Some(format!("{what}: {}", line.trim()))
    });
    lines.collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[test]
fn nothing_runs_unnoticed() {
    let mut broken = Vec::new();
    let of_a_service = |path: &str| {
        let shared = path.starts_with("services/") || path.starts_with("shared/");
        // What the tests share is watched by the test.
        shared && path.contains("/src/") && !path.starts_with("shared/testkit/")
    };
    let mut unused = WATCHED.map(|(path, _)| path).to_vec();
    for (path, text) in files("rs").into_iter().filter(|(path, _)| of_a_service(path)) {
        let found = beginnings(&text);
        if !found.is_empty() && unused.contains(&&*path) {
            unused.retain(|known| *known != path);
        } else {
            broken.extend(found.into_iter().map(|beginning| {
                format!("{path}: {beginning}; make it a part with Lifecycle::task or ::thread")
            }));
        }
    }
    broken.extend(unused.into_iter().map(|path| format!("{path}: begins nothing, so take it out")));
    assert_none("every task and thread is watched", &broken);
}

#[test]
fn a_beginning_is_told_from_other_words() {
    for begins in [
        "fn f() {\n    tokio::spawn(work());\n}",
        "use tokio::task::{JoinSet, spawn};",
        "    std::thread::spawn(move || work());",
        "    let _ = thread::Builder::new().spawn(work);",
        "    runtime.spawn(work());",
    ] {
        assert_eq!(beginnings(begins).len(), 1, "{begins}");
    }
    for other in [
        "// tokio::spawn(work())",
        "self.calls.spawn(make(call));",
        "use tokio::{runtime::Handle, task::spawn_blocking};",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() { tokio::spawn(work()); }\n}",
    ] {
        assert_eq!(beginnings(other), [""; 0], "{other}");
    }
}
