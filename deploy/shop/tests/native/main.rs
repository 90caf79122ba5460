//! Goal: the servers of a shop come back by themselves after `kill -9`, with what they knew, and a
//! killed supervisor leaves nothing that the next command cannot end.
//!
//! One real Kafka, registry, Connect and PostgreSQL; about a minute.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::{Shop, StartOptions};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = client::HEALTHY_WITHIN;

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_back_from_kill_9_and_nothing_is_left_behind() -> Result<()> {
    let mut shop = Shop::start(StartOptions { infra_only: true, ..Default::default() }).await?;
    let before = schema_ids(&shop).await?;
    ensure!(before.len() > 10, "schemas are registered: {before:?}");

    for process in ["registry", "postgres", "kafka", "connect"] {
        shop.kill(process, true).await?;
    }
    wait_for("all processes to be healthy and all connectors to run", || async {
        let processes = shop.status().await?;
        let ill: Vec<_> =
            processes.iter().filter(|process| process.healthy != Some(true)).collect();
        ensure!(ill.is_empty(), "not healthy: {ill:?}");
        connectors_run(&shop).await
    })
    .await?;
    let restarts: u32 = shop.status().await?.iter().map(|process| process.restarts).sum();
    ensure!(restarts >= 4, "each kill is counted, but there were {restarts} restarts");
    let after = schema_ids(&shop).await?;
    // Debezium may have registered a table of the catalog meanwhile.
    let changed: Vec<_> = before.iter().filter(|known| !after.contains(known)).collect();
    ensure!(changed.is_empty(), "ids are in every record: {changed:?} became {after:?}");

    let dir = shop.state().dir.clone();
    let again =
        shop_command(&["up", "--infra-only", "--ports", "auto", "--dir"]).arg(&dir).output()?;
    let told = String::from_utf8_lossy(&again.stderr);
    ensure!(!again.status.success() && told.contains("runs"), "a second start says: {told}");

    shop.kill_supervisor().await?;
    let ports = ["kafka", "registry", "connect", "postgres", "smtp"];
    let open = |shop: &Shop| {
        let listens =
            |name: &&&str| TcpStream::connect(("127.0.0.1", shop.state().ports[**name])).is_ok();
        ports.iter().filter(listens).count()
    };
    ensure!(
        open(&shop) > 0,
        "the servers outlive their supervisor, or the next step shows nothing"
    );
    let down = shop_command(&["down", "--dir"]).arg(&dir).output()?;
    let told = String::from_utf8_lossy(&down.stdout);
    ensure!(told.contains("ended what a killed shop left"), "down says: {told}");
    assert_eq!(open(&shop), 0, "nothing listens any more");
    Ok(())
}

fn shop_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(args);
    command
}

/// Subject and id of each latest schema.
async fn schema_ids(shop: &Shop) -> Result<Vec<(String, i64)>> {
    let url = shop.url("registry");
    let mut subjects: Vec<String> = get(&format!("{url}/subjects")).await?;
    subjects.sort();
    let mut ids = Vec::new();
    for subject in subjects {
        let version: Value = get(&format!("{url}/subjects/{subject}/versions/latest")).await?;
        ids.push((subject, version["id"].as_i64().context("a version has an id")?));
    }
    Ok(ids)
}

async fn connectors_run(shop: &Shop) -> Result<()> {
    let all: Value = get(&format!("{}/connectors?expand=status", shop.url("connect"))).await?;
    let text = all.to_string();
    ensure!(text.matches("RUNNING").count() == 4, "two connectors with a task each: {text}");
    Ok(())
}

async fn get<T: serde::de::DeserializeOwned>(url: &str) -> Result<T> {
    Ok(reqwest::get(url).await?.error_for_status()?.json().await?)
}

/// Waits until `look` succeeds; the error tells what was seen last.
async fn wait_for<Looked>(what: &str, look: impl Fn() -> Looked) -> Result<()>
where
    Looked: Future<Output = Result<()>>,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > DEADLINE => {
                return Err(error.context(format!("waited {DEADLINE:?} for {what}")));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
