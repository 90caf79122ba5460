//! Goal: two thousand requests wait on two instances, each is answered right and soon after the
//! view's own update, other questions are answered meanwhile, and nothing of them is left.
//!
//! `cargo test --release -p view --test crowd -- --nocapture` prints how late the answers
//! were; docs/performance.md has such figures. Only what holds on a busy machine is asserted.
//!
//! A program of its own, as it measures its memory: other tests would count.

#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![allow(dead_code, reason = "the tests of the service use the rest")]

#[path = "../service/harness.rs"]
mod harness;
#[path = "../service/stories.rs"]
mod stories;

use harness::Instance;
use reqwest::{Client, Response};
use std::time::{Duration, Instant};
use stories::{confirmed_story, order_id};
use testkit::wait_for;
use tokio::task::JoinHandle;

/// Requests, and as many orders: each waits for its own.
const WAITING: usize = 2_000;
/// Orders that end in one batch.
const TOGETHER: usize = 50;
/// Long enough for a slow machine, and far below the minute that a request may wait: its last look
/// would hide a missing wake-up.
const PATIENCE: Duration = Duration::from_secs(50);

type Asked = JoinHandle<Answered>;

struct Answered {
    status: String,
    timed_out: bool,
    at: Instant,
    /// How often it was told to come again first: on a machine that is too busy, Postgres does not
    /// give a session in time.
    again: usize,
}

/// Asks for the end of order `n` as a client does: again, if it is told so.
fn ask(client: &Client, view: &Instance, n: usize) -> Asked {
    let order_id = order_id(n as u128 + 1);
    let url = view.address(&format!("/orders/{order_id}?wait=settled&timeout=60000"));
    let client = client.clone();
    tokio::spawn(async move {
        let mut again = 0;
        loop {
            let response = client.get(&url).send().await.unwrap();
            let timed_out = response.headers().contains_key("wait-timed-out");
            let (status, body) = (response.status(), response.bytes().await.unwrap());
            let at = Instant::now();
            if status == 503 {
                again += 1;
                continue;
            }
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["order_id"], order_id.to_string());
            let status = body["status"].as_str().unwrap().to_owned();
            return Answered { status, timed_out, at, again };
        }
    })
}

/// Waits until `path` is answered with `status`; a machine that is too busy may need some attempts.
async fn until_answered(view: &Instance, path: &str, status: u16) -> Response {
    wait_for(&format!("{path} to answer {status}"), PATIENCE, async || {
        let response = view.ask(path).await;
        if response.status() == status { Ok(response) } else { Err(response.text().await) }
    })
    .await
}

async fn until_waiting(views: [&Instance; 2], each: usize) {
    wait_for("as many to wait on each instance", PATIENCE, async || {
        let waiting = views.map(|view| view.waiters.len());
        if waiting == [each; 2] { Ok(()) } else { Err(waiting) }
    })
    .await;
}

/// Resident memory of this process, in MB.
fn memory_mb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// One round: all wait, all orders end in batches of [`TOGETHER`], and all are answered. How late
/// each answer was, and how often one had to be asked for again.
async fn round(writer: &mut Instance, reader: &Instance, first: usize) -> (Vec<Duration>, usize) {
    let client = Client::new();
    let numbers = first..first + WAITING;
    let waits = numbers.clone().map(|n| ask(&client, if n % 2 == 0 { writer } else { reader }, n));
    let waits: Vec<Asked> = waits.collect();
    until_waiting([writer, reader], WAITING / 2).await;

    // Many wait, and other questions are answered.
    for view in [&*writer, reader] {
        until_answered(view, "/products", 200).await;
        // Who only looks is served, and sees that it is not there.
        until_answered(view, &format!("/orders/{}", order_id(first as u128 + 1)), 404).await;
    }

    let mut shown = Vec::new();
    for batch in numbers.collect::<Vec<_>>().chunks(TOGETHER) {
        let stories: Vec<_> = batch.iter().map(|n| confirmed_story(*n as u128 + 1)).collect();
        writer.feed(&stories.concat());
        shown.extend([Instant::now(); TOGETHER]);
    }
    let (mut late, mut again) = (Vec::new(), 0);
    for (wait, shown) in waits.into_iter().zip(shown) {
        let answered = tokio::time::timeout(PATIENCE, wait).await.expect("it was woken").unwrap();
        assert_eq!((&*answered.status, answered.timed_out), ("confirmed", false));
        late.push(answered.at.saturating_duration_since(shown));
        again += answered.again;
    }
    until_waiting([writer, reader], 0).await;
    (late, again)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_wait_on_two_instances_and_leave_nothing_behind() {
    let mut writer = Instance::start("crowd").await;
    let reader = writer.another().await;
    let mut memory = Vec::new();
    for n in 0..3 {
        let (mut late, again) = round(&mut writer, &reader, n * WAITING).await;
        late.sort_unstable();
        memory.push(memory_mb());
        println!(
            "{WAITING} answers, in batches of {TOGETHER}: late by p50 {:?}, p99 {:?}, max {:?}; \
             {again} came again; {} MB",
            at(&late, 50),
            at(&late, 99),
            at(&late, 100),
            memory[n]
        );
    }
    // The allocator keeps what it had at the most; a leak would grow with each round.
    assert!(memory[2] < memory[1] + memory[1] / 4, "{memory:?} MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_may_wait_leave_room_for_other_questions_and_streams() {
    let mut view = Instance::start("full").await;
    let client = Client::new();
    let waits: Vec<_> = (0..1024).map(|n| ask(&client, &view, n)).collect();
    wait_for("all of them to wait", PATIENCE, async || {
        let waiting = view.waiters.len();
        if waiting == 1024 { Ok(()) } else { Err(waiting) }
    })
    .await;
    let one_more = view.ask(&format!("/orders/{}?wait=settled", order_id(1))).await;
    assert_eq!(one_more.status(), 503);
    assert_eq!(one_more.headers()["retry-after"], "1");

    // A stream has a place of its own.
    let stream = until_answered(&view, &format!("/orders/{}/events", order_id(1)), 200).await;
    let questions = (0..100).map(|_| until_answered(&view, "/products", 200));
    futures::future::join_all(questions).await;

    let stories: Vec<_> = (0..1024).map(|n| confirmed_story(n + 1)).collect();
    view.feed(&stories.concat());
    for wait in waits {
        let answered = tokio::time::timeout(PATIENCE, wait).await.expect("it was woken").unwrap();
        assert_eq!((&*answered.status, answered.timed_out), ("confirmed", false));
    }
    drop(stream);
    wait_for("all of them to have left", PATIENCE, async || {
        let waiting = view.waiters.len();
        if waiting == 0 { Ok(()) } else { Err(waiting) }
    })
    .await;
}
