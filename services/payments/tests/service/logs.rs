//! The log of the program itself, as a collector reads it: each line is one object of JSON, and no
//! line has a secret, whatever is wrong.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// In the place of each secret; the number says which one was told.
const SECRET: &str = "hunter";

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends with the test.
struct Payments(Child);

impl Drop for Payments {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address where nothing listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Payments with secrets in every setting that can have one, and none of its dependencies.
fn payments(level: &str) -> Payments {
    let child = Command::new(env!("CARGO_BIN_EXE_payments"))
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("KAFKA_BOOTSTRAP", nowhere())
        .env("DATABASE_URL", format!("postgres://shop:{SECRET}1@{}/payments", nowhere()))
        .env("SCHEMA_REGISTRY_URL", format!("http://shop:{SECRET}2@{}/apis", nowhere()))
        .env("BANK_URL", format!("http://shop:{SECRET}3@{}", nowhere()))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://shop:{SECRET}4@{}", nowhere()))
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{SECRET}5"))
        .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
        .env("RUST_LOG", level)
        .env_remove("LOG_FORMAT")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("payments was built");
    Payments(child)
}

/// The lines of `payments` until each of `awaited` was said.
fn lines_until(payments: &mut Payments, awaited: &[&str]) -> Vec<String> {
    let (say, said) = mpsc::channel();
    let stdout = BufReader::new(payments.0.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if say.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut lines: Vec<String> = Vec::new();
    let missing = |lines: &[String]| -> Vec<String> {
        let was_said = |words: &&str| lines.iter().any(|line| line.contains(*words));
        awaited.iter().filter(|words| !was_said(words)).map(|words| (*words).to_owned()).collect()
    };
    loop {
        let missing = missing(&lines);
        if missing.is_empty() {
            return lines;
        }
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => lines.push(line),
            Err(error) => panic!("{error}, {missing:?} not said in\n{}", lines.join("\n")),
        }
    }
}

const TROUBLES: [&str; 3] =
    ["starts with HTTP_ADDR=", "Postgres at 127.0.0.1", "the log's time at 127.0.0.1"];

#[test]
fn what_is_no_terminal_gets_a_line_of_json_per_event() {
    let lines = lines_until(&mut payments("info"), &TROUBLES);
    for line in &lines {
        let Ok(Value::Object(said)) = serde_json::from_str(line) else { panic!("no JSON: {line}") };
        let has = |field: &str| {
            said.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
        };
        for field in ["timestamp", "level", "target"] {
            assert!(has(field), "{field}: {line}");
        }
        // OpenTelemetry's own events have a name and no message.
        assert!(has("message") || has("name"), "{line}");
    }
    assert!(lines[0].contains("DATABASE_URL=postgres://shop:***@127.0.0.1"), "{}", lines[0]);
}

/// Libraries included: `debug` is what an operator sets when something is wrong.
#[test]
fn no_line_has_a_secret() {
    let lines = lines_until(&mut payments("debug"), &TROUBLES);
    let told: Vec<_> = lines.iter().filter(|line| line.contains(SECRET)).collect();
    assert!(told.is_empty(), "{told:#?}");
}
