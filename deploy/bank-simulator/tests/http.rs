//! Goal: the bank as payments meets it: over HTTP, with faults, and after it was killed.

#![cfg(feature = "service")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use service_kit::{LogFormat, Running, Shutdown, config::loopback};

use bank_simulator::Config;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

struct Bank {
    client: Client,
    url: String,
}

/// A bank in this process, with a journal of its own.
struct LocalBank {
    bank: Bank,
    server: Running,
    shutdown: Shutdown,
    _folder: TempDir,
}

/// A bank in a process of its own, which is killed at the end.
struct BankProcess {
    bank: Bank,
    child: Child,
}

impl Bank {
    fn at(url: String) -> Self {
        Self { client: Client::new(), url }
    }

    /// Whether it answers within the deadline. It may be about to start.
    async fn answers(&self) -> bool {
        let until = tokio::time::Instant::now() + DEADLINE;
        while self.client.get(format!("{}/health/live", self.url)).send().await.is_err() {
            if tokio::time::Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    async fn send(&self, method: Method, path: &str, key: &str, body: Value) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.header("Idempotency-Key", key).json(&body).timeout(DEADLINE);
        request.send().await.expect("the bank answers")
    }

    async fn ask(&self, method: Method, path: &str, key: &str, body: Value) -> (u16, Value) {
        let response = self.send(method, path, key, body).await;
        (response.status().as_u16(), response.json().await.expect("every answer is JSON"))
    }

    async fn charge(&self, key: &str, amount_minor: i64) -> (u16, Value) {
        self.ask(Method::POST, "/charges", key, charge_of("ada", key, amount_minor)).await
    }

    async fn void(&self, key: &str) -> (u16, Value) {
        self.ask(Method::POST, &format!("/charges/{key}/void"), key, Value::Null).await
    }

    async fn refund(&self, key: &str, amount_minor: i64) -> (u16, Value) {
        let body = json!({"amount_minor": amount_minor});
        self.ask(Method::POST, &format!("/charges/{key}/refund"), key, body).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, "", Value::Null).await
    }

    async fn faults(&self, faults: Value) {
        let (status, body) = self.ask(Method::PUT, "/faults", "", faults).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn net_minor(&self) -> Value {
        self.get("/statement").await.1["totals"]["EUR"]["net_minor"].clone()
    }
}

impl LocalBank {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the journal");
        let config = Config {
            bank_addr: Some(loopback(0)),
            http_addr: None,
            data_dir: folder.path().to_owned(),
            log_format: LogFormat::Text,
        };
        let shutdown = Shutdown::new();
        let server = bank_simulator::start(&config, shutdown.clone()).await.expect("it starts");
        let bank = Bank::at(format!("http://{}", server.local_addr()));
        Self { bank, server, shutdown, _folder: folder }
    }
}

impl BankProcess {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bank-simulator"))
            .args(["--bank-addr", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bank was built");
        let log = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let url = log.lines().map_while(Result::ok).find_map(|line| {
            let line: Value = serde_json::from_str(&line).expect("a pipe gets JSON");
            line["message"].as_str()?.strip_prefix("listening on ").map(ToOwned::to_owned)
        });
        Self { bank: Bank::at(url.expect("it says where it listens")), child }
    }
}

impl Drop for BankProcess {
    fn drop(&mut self) {
        // `kill` is SIGKILL; it fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn charge_of(customer: &str, reference: &str, amount_minor: i64) -> Value {
    json!({
        "amount_minor": amount_minor,
        "currency": "EUR",
        "customer": customer,
        "reference": reference,
    })
}

fn code((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_charge_is_booked_once_voided_once_and_refunded_once() {
    let LocalBank { bank, .. } = &LocalBank::start().await;
    let captured = json!({"charge_id": "ch_00000001", "status": "captured"});
    assert_eq!(bank.charge("o-1", 500).await, (201, captured.clone()));
    assert_eq!(bank.charge("o-1", 500).await, (200, captured));
    assert_eq!(code(&bank.charge("o-1", 600).await), (422, "idempotency_key_reused"));

    assert_eq!(bank.void("o-1").await, (200, json!({"status": "voided"})));
    assert_eq!(bank.void("o-1").await, (200, json!({"status": "already_voided"})));
    assert_eq!(code(&bank.charge("o-1", 500).await), (409, "voided"));

    assert_eq!(bank.charge("o-2", 700).await.0, 201);
    let wrong = bank.refund("o-2", 1).await;
    assert_eq!(code(&wrong), (422, "invalid_request"));
    assert_eq!(wrong.1["errors"][0]["field"], "amount_minor");
    let refunded = json!({"refund_id": "re_00000004", "status": "refunded"});
    assert_eq!(bank.refund("o-2", 700).await, (201, refunded.clone()));
    assert_eq!(bank.refund("o-2", 700).await, (200, refunded));
    assert_eq!(code(&bank.void("o-2").await), (409, "refunded"));
    assert_eq!(code(&bank.refund("o-3", 1).await), (404, "not_found"));

    let (_, statement) = bank.get("/statement?customer=ada").await;
    let entries = statement["entries"].as_array().unwrap();
    let amounts: Vec<_> = entries
        .iter()
        .map(|entry| (entry["kind"].as_str(), entry["amount_minor"].as_i64()))
        .collect();
    let expected = [("capture", 500), ("void", -500), ("capture", 700), ("refund", -700)];
    assert_eq!(amounts, expected.map(|(kind, amount)| (Some(kind), Some(amount))));
    assert_eq!(statement["totals"]["EUR"]["net_minor"], 0);
}

#[tokio::test]
async fn a_void_that_overtakes_its_charge_bars_it() {
    let LocalBank { bank, .. } = &LocalBank::start().await;
    assert_eq!(bank.void("o-1").await, (200, json!({"status": "voided"})));
    assert_eq!(code(&bank.charge("o-1", 500).await), (409, "voided"));
    assert_eq!(bank.get("/charges/o-1").await.1["status"], "voided");
    assert_eq!(bank.get("/statement").await.1["entries"], json!([]));
}

#[tokio::test]
async fn declines_follow_rules_that_change_while_it_runs() {
    let LocalBank { bank, .. } = &LocalBank::start().await;
    let declined = bank.charge("o-1", 1013).await;
    assert_eq!(code(&declined), (402, "amount_rule"));
    assert_eq!(bank.charge("o-1", 1013).await, declined);
    assert_eq!(code(&bank.refund("o-1", 1013).await), (409, "not_captured"));
    let declan = charge_of("declan", "o-2", 500);
    let declined = bank.ask(Method::POST, "/charges", "o-2", declan).await;
    assert_eq!(code(&declined), (402, "customer_rule"));

    let rules = json!({"declined_customers": ["ada"], "decline_amount_ending_minor": null});
    bank.faults(rules).await;
    assert_eq!(code(&bank.charge("o-3", 500).await), (402, "customer_rule"));
    let grace = charge_of("grace", "o-4", 1013);
    assert_eq!(bank.ask(Method::POST, "/charges", "o-4", grace).await.0, 201);

    let (_, declines) = bank.get("/declines?limit=2").await;
    let keys: Vec<_> = declines.as_array().unwrap().iter().map(|one| one["key"].as_str()).collect();
    assert_eq!(keys, [Some("o-3"), Some("o-2")], "newest first");
    assert_eq!(declines[0]["code"], "customer_rule");
}

#[tokio::test]
async fn input_that_does_not_fit_is_a_problem_that_names_the_field() {
    let LocalBank { bank, .. } = &LocalBank::start().await;
    let with = |field: &str, value: Value| {
        let mut charge = charge_of("ada", "o-1", 500);
        charge[field] = value;
        charge
    };
    for (body, field) in [
        (with("amount_minor", json!(0)), "amount_minor"),
        (with("amount_minor", json!(100_000_001)), "amount_minor"),
        (with("amount_minor", json!(1.5)), "amount_minor"),
        (with("currency", json!("euro")), "currency"),
        (with("customer", json!("")), "customer"),
        (with("reference", json!("x".repeat(129))), "reference"),
        (with("tip_minor", json!(1)), "tip_minor"),
    ] {
        let (status, problem) = bank.ask(Method::POST, "/charges", "o-1", body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let charge = bank.client.post(format!("{}/charges", bank.url));
    let keyless = charge.json(&charge_of("ada", "o-1", 500)).send().await.unwrap();
    assert_eq!(keyless.headers()["content-type"], "application/problem+json");
    let problem: Value = keyless.json().await.unwrap();
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");

    let (status, problem) =
        bank.ask(Method::PUT, "/faults", "", json!({"latency_ms": {"min": 9, "max": 8}})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("latency_ms.min")));
    assert_eq!(bank.get("/statement?limit=0").await.1["errors"][0]["field"], "limit");
}

#[tokio::test]
async fn errors_and_outages_book_nothing_and_the_statement_stays_readable() {
    let LocalBank { bank, .. } = &LocalBank::start().await;
    bank.faults(json!({"error_rate": 1.0})).await;
    assert_eq!(code(&bank.charge("o-1", 500).await), (500, "simulated_error"));
    bank.faults(json!({"outage": true})).await;
    assert_eq!(code(&bank.charge("o-1", 500).await), (503, "simulated_outage"));
    assert_eq!(code(&bank.get("/charges/o-1").await), (503, "simulated_outage"));
    assert_eq!(bank.get("/statement").await, (200, json!({"entries": [], "totals": {}})));
    assert_eq!(bank.get("/health/ready").await.0, 200);
    bank.faults(json!({})).await;
    assert_eq!(bank.charge("o-1", 500).await.0, 201);
}

#[tokio::test]
async fn a_lost_answer_has_been_booked_and_a_lost_request_has_not() {
    let local = LocalBank::start().await;
    let bank = &local.bank;
    for (fault, key) in [("timeout_rate", "o-1"), ("lost_before_rate", "o-2")] {
        bank.faults(json!({fault: 1.0, "latency_ms": {"min": 0, "max": 0}})).await;
        let charge = bank.client.post(format!("{}/charges", bank.url));
        let charge = charge.header("Idempotency-Key", key).json(&charge_of("ada", key, 500));
        let error = charge.timeout(Duration::from_secs(1)).send().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(bank.net_minor().await, 500, "only o-1 is booked; after {fault}");
    }
    bank.faults(json!({})).await;
    assert_eq!(bank.charge("o-1", 500).await.0, 200, "the repetition hears the answer");
    assert_eq!(bank.charge("o-2", 500).await.0, 201, "the repetition is the first to arrive");

    bank.faults(json!({"timeout_rate": 1.0})).await;
    let (client, url) = (bank.client.clone(), format!("{}/charges/o-1", bank.url));
    let hanging = tokio::spawn(client.get(url).timeout(DEADLINE).send());
    local.shutdown.cancel();
    let stopped = tokio::time::timeout(DEADLINE, local.server.stopped()).await;
    stopped.expect("requests that hang do not hold up the shutdown").unwrap();
    hanging.abort();
}

/// Charges o-<n>, every `step`th n, until the bank dies, and reports the keys that it answered.
async fn charge_until_it_dies(
    bank: Bank,
    first: usize,
    step: usize,
    answered: mpsc::UnboundedSender<String>,
) {
    for number in (first..).step_by(step) {
        let key = format!("o-{number}");
        let charge = bank.client.post(format!("{}/charges", bank.url));
        let charge = charge.header("Idempotency-Key", &key).json(&charge_of("ada", &key, 500));
        let Ok(response) = charge.timeout(DEADLINE).send().await else { return };
        assert_eq!(response.status().as_u16(), 201);
        answered.send(key).expect("the test listens until all clients are done");
    }
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = BankProcess::start(folder.path());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for client in 0..4 {
        let bank = Bank::at(process.bank.url.clone());
        tokio::spawn(charge_until_it_dies(bank, client, 4, sender.clone()));
    }
    drop(sender);
    let mut answered = Vec::new();
    let collecting = async {
        while let Some(key) = receiver.recv().await {
            answered.push(key);
            if answered.len() == 100 {
                process.child.kill().unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, collecting).await.expect("the bank dies");
    drop(process);

    let process = BankProcess::start(folder.path());
    let (_, statement) = process.bank.get("/statement").await;
    let entries = statement["entries"].as_array().unwrap();
    let booked: Vec<_> = entries.iter().filter_map(|entry| entry["key"].as_str()).collect();
    let forgotten: Vec<_> = answered.iter().filter(|key| !booked.contains(&&***key)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?} of {} answers", answered.len());
    assert_eq!(process.bank.charge(&answered[0], 500).await.0, 200, "it remembers the key");
}

/// As with every program of ours, whose logs are written in the same way.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_goes_on_when_the_disk_of_its_log_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind(loopback(0)).unwrap().local_addr().unwrap().port();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_bank-simulator"))
        .args(["--bank-addr", &loopback(port).to_string(), "--data-dir"])
        .arg(folder.path())
        .env("RUST_LOG", "trace")
        .stdout(full())
        .stderr(full())
        .spawn()
        .expect("the bank was built");
    let mut process = BankProcess { bank: Bank::at(format!("http://{}", loopback(port))), child };
    assert!(process.bank.answers().await, "{:?}", process.child.try_wait());
    assert_eq!(process.bank.charge("o-1", 500).await.0, 201);
    assert_eq!(process.child.try_wait().unwrap(), None, "it goes on");
}
