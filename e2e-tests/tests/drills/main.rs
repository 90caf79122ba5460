//! Alert drills: something is broken on purpose, a real Prometheus with the real rules raises the
//! right alert, and what the alert's paragraph in `docs/operating.md` says mends it.
//!
//! They take minutes, so they run by `./shop drill` and not with the other tests. The rules are
//! those of `deploy/alerts/shop.yml` with their times divided by [`FASTER`]: how long something
//! has to be true, and over which range a counter is looked at. Expressions and thresholds are the
//! same.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use client::{Shop, StartOptions, program};
use contracts::{OrderId, topics};
use e2e_tests::{Alert, Outside, PATIENCE, Prometheus, rules};
use sqlx::{Connection, Executor, PgConnection};
use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};
use testkit::wait_for;

/// By what the times of the rules are divided.
const FASTER: u64 = 12;

/// How long an alert may take: the longest threshold, what is left of `for`, and some more.
const RAISED_WITHIN: Duration = Duration::from_secs(240);

/// `text` with its duration, such as `2m`, divided.
fn faster(text: &str) -> String {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 };
    assert!(["m", "s"].contains(&unit) && seconds % FASTER == 0, "{text}");
    format!("{}s", seconds / FASTER)
}

/// The rules with shorter times.
fn faster_rules(rules: &str) -> String {
    let line = |line: &str| {
        if let Some((before, duration)) = line.split_once("for: ") {
            return format!("{before}for: {}\n", faster(duration));
        }
        match line.split_once('[').filter(|(before, _)| before.contains("expr:")) {
            Some((before, rest)) => {
                let (range, after) = rest.split_once(']').unwrap();
                format!("{before}[{}]{after}\n", faster(range))
            }
            None => format!("{line}\n"),
        }
    };
    rules.lines().map(line).collect()
}

#[test]
fn only_the_times_of_the_rules_are_shorter() {
    let rules = std::fs::read_to_string(rules()).unwrap();
    let faster = faster_rules(&rules);
    assert_eq!(rules.matches("for: ").count(), faster.matches("for: ").count());
    assert!(faster.contains("for: 10s\n") && !faster.contains("for: 2m"), "{faster}");
    assert!(faster.contains("increase(streams_dead_letters_total[75s])) > 0\n"), "{faster}");
    assert!(faster.contains("(streams_lag_seconds) > 60\n"), "{faster}");
}

struct Drill {
    shop: Outside,
    prometheus: Prometheus,
}

impl Drill {
    async fn firing(&self) -> Vec<Alert> {
        let alerts = self.prometheus.alerts().await.unwrap();
        alerts.into_iter().filter(|alert| alert.is_firing).collect()
    }

    /// Wait until `alert` fires for what `label` says, and tell of it.
    async fn raised(&self, alert: &str, (label, value): (&str, &str)) {
        let begun = Instant::now();
        let found = wait_for(&format!("{alert} {label}={value}"), RAISED_WITHIN, || async {
            let firing = self.firing().await;
            let right =
                |it: &&Alert| it.name == alert && (label.is_empty() || it.labels[label] == value);
            firing.iter().find(right).cloned().ok_or(firing)
        })
        .await;
        println!("  {alert} after {} s: {}", begun.elapsed().as_secs(), found.summary);
        let others: BTreeSet<_> = self.firing().await.into_iter().map(|it| it.name).collect();
        println!("  firing by then: {others:?}");
    }

    /// Wait until no alert is left.
    async fn mended(&self) {
        let begun = Instant::now();
        wait_for("no alert", RAISED_WITHIN, || async {
            let firing = self.firing().await;
            if firing.is_empty() { Ok(()) } else { Err(firing) }
        })
        .await;
        println!("  mended: no alert after {} s", begun.elapsed().as_secs());
    }

    /// What `./shop` does in this shop.
    fn shop(&self, words: &[&str]) -> String {
        let dir = &self.shop.shop().state().dir;
        let output = Command::new(program().unwrap()).args(words).arg("--dir").arg(dir).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {told}{output:?}");
        println!("  ./shop {}", words.join(" "));
        told
    }

    async fn database(&self, name: &str) -> PgConnection {
        PgConnection::connect(self.shop.shop().url(&format!("postgres.{name}"))).await.unwrap()
    }

    async fn ends(&self, order: OrderId, status: &str) {
        assert_eq!(self.shop.settled(order).await.unwrap()["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_alert_fires_and_its_paragraph_mends_it() {
    if std::env::var_os("ALERT_DRILLS").is_none() {
        println!("it takes minutes: ./shop drill");
        return;
    }
    let deadline = ("orders".to_owned(), "ORDER_DEADLINE_MS".to_owned(), "20000".to_owned());
    let options = StartOptions { env: vec![deadline], ..StartOptions::default() };
    let shop: &'static Shop = Box::leak(Box::new(Shop::start(options).await.unwrap()));
    let rules = faster_rules(&std::fs::read_to_string(rules()).unwrap());
    let prometheus = Prometheus::start(shop, &rules).await.unwrap();
    let drill = Drill { shop: Outside::new(shop), prometheus };
    let order = drill.shop.place("ada", &[("TEA", 1)]).await.unwrap();
    drill.ends(order, "confirmed").await;
    drill.mended().await;

    view_is_stopped(&drill).await;
    view_is_stale(&drill).await;
    payments_is_stopped(&drill).await;
    garbage_is_put_aside(&drill).await;
    slot_is_idle(&drill).await;
    connect_is_stopped(&drill).await;
    end(shop).await;
}

/// It is not dropped, as it is leaked.
async fn end(shop: &Shop) {
    let down =
        Command::new(program().unwrap()).args(["down", "--dir"]).arg(&shop.state().dir).output();
    assert!(down.unwrap().status.success());
    let _ = std::fs::remove_dir_all(&shop.state().dir);
}

async fn view_is_stopped(drill: &Drill) {
    println!("the view is stopped");
    drill.shop(&["stop", "view"]);
    drill.raised("ServiceDown", ("service", "view")).await;
    drill.shop(&["start", "view"]);
    drill.mended().await;
}

/// What the paragraph of ViewStale says: find who holds the tables, and end that session.
async fn view_is_stale(drill: &Drill) {
    println!("a session holds a table of the view");
    let mut holder = drill.database("view").await;
    holder.execute("BEGIN; LOCK TABLE progress IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let order = drill.shop.place("ada", &[("TEA", 1)]).await.unwrap();
    drill.raised("ViewStale", ("", "")).await;
    let mut operator = drill.database("view").await;
    let ended: Vec<(bool,)> = sqlx::query_as(
        "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT \
         unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity) AS them",
    )
    .fetch_all(&mut operator)
    .await
    .unwrap();
    println!("  ended sessions: {}", ended.len());
    drill.ends(order, "confirmed").await;
    drill.mended().await;
}

async fn payments_is_stopped(drill: &Drill) {
    println!("payments is stopped while an order is on its way");
    drill.shop(&["stop", "payments"]);
    let order = drill.shop.place("ada", &[("TEA", 1)]).await.unwrap();
    drill.raised("ServiceDown", ("service", "payments")).await;
    drill.raised("OrderOverdue", ("", "")).await;
    drill.shop(&["start", "payments"]);
    drill.ends(order, "cancelled").await;
    drill.mended().await;
}

async fn garbage_is_put_aside(drill: &Drill) {
    println!("a record that no one can read is on orders.commands");
    let bootstrap = drill.shop.shop().url("kafka").to_owned();
    let garbage = move || {
        let topic = &topics::ORDER_COMMANDS.spec;
        streams_kafka::admin::produce_raw(&bootstrap, topic, b"garbage", b"garbage")
    };
    tokio::task::spawn_blocking(garbage).await.unwrap().unwrap();
    drill.raised("DeadLetter", ("topic", "orders.commands")).await;
    let listed = drill.shop(&["dlq", "list"]);
    let letter = listed.split_whitespace().find(|word| word.starts_with("orders/"));
    let letter = letter.unwrap_or_else(|| panic!("{listed}")).to_owned();
    drill.shop(&["dlq", "show", &letter]);
    drill.shop(&["dlq", "discard", &letter]);
    drill.mended().await;
    assert!(!drill.shop(&["dlq", "list"]).contains(&letter));
}

/// As a connector leaves its slot behind that is deleted without it.
async fn slot_is_idle(drill: &Drill) {
    println!("a slot is left that nothing reads, while the database writes 1.2 GB");
    let mut database = drill.database("payments").await;
    let slot = "SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')";
    database.execute(slot).await.unwrap();
    write_log(&mut drill.database("view").await).await;
    drill.raised("SlotGrowing", ("slot", "forgotten")).await;
    database.execute("SELECT pg_drop_replication_slot('forgotten')").await.unwrap();
    drill.mended().await;
}

async fn connect_is_stopped(drill: &Drill) {
    println!("Connect is stopped while payments has something to say");
    drill.shop(&["stop", "connect"]);
    let order = drill.shop.place("ada", &[("TEA", 1)]).await.unwrap();
    drill.raised("RelayStuck", ("", "")).await;
    drill.shop(&["start", "connect"]);
    // Its time is over, and what was paid is paid back.
    wait_for("the order to end", PATIENCE, || async {
        let shown = drill.shop.settled(order).await.map_err(|error| format!("{error:#}"))?;
        let ended =
            ["refunded", "cancelled", "confirmed"].contains(&shown["status"].as_str().unwrap());
        if ended { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    drill.mended().await;
}

/// 1.2 GB of log that no table keeps. In a database without a slot of Connect, whose connectors
/// read such messages, and have no room for so many.
async fn write_log(database: &mut PgConnection) {
    for _ in 0..12 {
        let write = "SELECT count(pg_logical_emit_message(false, 'drill', repeat('x', 1000000))) \
                     FROM generate_series(1, 100)";
        database.execute(write).await.unwrap();
    }
}
