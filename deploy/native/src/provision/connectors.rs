//! The two Debezium connectors: registered when missing or changed, and their failed tasks
//! restarted.
//!
//! A task that met an error it calls final (PostgreSQL was away at the wrong moment) stays `FAILED`
//! until a request restarts it. [`keep_running`] sends that request.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use client::Progress;
use reqwest::Client;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::template::render;

const CONNECTORS: [(&str, &str); 2] = [
    ("catalog", include_str!("../../../debezium/catalog.json")),
    ("payments-outbox", include_str!("../../../debezium/payments-outbox.json")),
];
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

type Config = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
struct Status {
    connector: Worker,
    tasks: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    state: String,
    trace: Option<String>,
}

impl Status {
    fn is_running(&self) -> bool {
        let running = |worker: &Worker| worker.state == "RUNNING";
        running(&self.connector) && !self.tasks.is_empty() && self.tasks.iter().all(running)
    }

    /// The first line of why a worker failed, when one did.
    fn failure(&self) -> Option<&str> {
        let mut all = std::iter::once(&self.connector).chain(&self.tasks);
        let failed = all.find(|worker| worker.state == "FAILED")?;
        let trace = failed.trace.as_deref().unwrap_or("no reason given");
        // The innermost cause says most.
        let cause = trace.lines().rev().find_map(|line| line.strip_prefix("Caused by: "));
        cause.or_else(|| trace.lines().next())
    }
}

/// Connect's HTTP interface.
#[derive(Clone, Debug)]
pub struct Connect {
    client: Client,
    url: String,
    configs: Vec<(&'static str, Config)>,
}

impl Connect {
    /// Connect at `url`; `lookup` says what the placeholders of the connectors' templates stand
    /// for.
    ///
    /// # Errors
    /// When it does not know one, or no HTTP client can be made.
    pub fn new(url: String, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let mut configs = Vec::new();
        for (name, template) in CONNECTORS {
            let text = render(template, &lookup)?;
            let mut config: Config = serde_json::from_str(&text).with_context(|| name)?;
            config.insert("name".to_owned(), name.to_owned());
            configs.push((name, config));
        }
        Ok(Self { client, url, configs })
    }

    /// Registers each connector that is missing or differs.
    ///
    /// # Errors
    /// When Connect refuses one, with its reason.
    async fn register(&self) -> Result<()> {
        for (name, config) in &self.configs {
            let path = format!("{}/connectors/{name}/config", self.url);
            let present = self.client.get(&path).send().await?;
            if present.status().is_success() && present.json::<Config>().await? == *config {
                continue;
            }
            let answer = self.client.put(&path).json(config).send().await?;
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            ensure!(status.is_success(), "Connect refuses connector {name} ({status}): {text}");
        }
        Ok(())
    }

    /// Registers the connectors and waits until all their tasks run.
    ///
    /// # Errors
    /// When they do not within `deadline`, with the last state seen.
    pub async fn wait_running(&self, deadline: Duration) -> Result<()> {
        let started = Instant::now();
        let mut registered = false;
        loop {
            let seen = async {
                if !registered {
                    self.register().await?;
                    registered = true;
                }
                self.not_running().await
            };
            let last = match seen.await {
                Ok(None) => return Ok(()),
                Ok(Some(what)) => what,
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > deadline {
                bail!("the connectors do not run after {} s: {last}", deadline.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What one of the connectors does instead of running; none when all run.
    async fn not_running(&self) -> Result<Option<String>> {
        for (name, _) in &self.configs {
            match self.status(name).await? {
                Some(status) if status.is_running() => {}
                Some(status) => return Ok(Some(format!("{name} is {status:?}"))),
                None => return Ok(Some(format!("{name} has no status yet"))),
            }
        }
        Ok(None)
    }

    async fn status(&self, name: &str) -> Result<Option<Status>> {
        let url = format!("{}/connectors/{name}/status", self.url);
        let answer = self.client.get(url).send().await?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        Ok(Some(answer.error_for_status()?.json().await?))
    }

    /// Restarts what failed of one connector; returns why it had, when it had.
    async fn mend(&self, name: &str) -> Result<Option<String>> {
        let Some(status) = self.status(name).await? else {
            self.register().await?;
            return Ok(None);
        };
        let Some(failure) = status.failure() else { return Ok(None) };
        let query = "includeTasks=true&onlyFailed=true";
        let url = format!("{}/connectors/{name}/restart?{query}", self.url);
        self.client.post(url).send().await?.error_for_status()?;
        Ok(Some(failure.to_owned()))
    }
}

/// Restarts failed connectors and tasks until `stop`, and says so. While Connect does not answer
/// there is nothing to do: its own process is watched elsewhere.
pub async fn keep_running(connect: Connect, progress: Progress, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(1);
    let watch = async {
        loop {
            tokio::time::sleep(EVERY).await;
            for (name, _) in &connect.configs {
                if let Ok(Some(why)) = connect.mend(name).await {
                    let what = format!("connector {name} had failed and is restarted: {why}");
                    progress.step("connect", what);
                }
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_files_are_flat_and_name_only_what_is_rendered() {
        for (name, template) in CONNECTORS {
            let text = render(template, |_| Some("1".into())).unwrap();
            let config: Config = serde_json::from_str(&text).unwrap();
            assert_eq!(config["exactly.once.support"], "required", "{name}");
        }
    }

    /// A column that the connector names and the table lacks fails every row; one that it does not
    /// name is lost.
    #[test]
    fn the_outbox_connector_carries_the_columns_of_the_outbox_table() {
        const CARRIED_OTHERWISE: [&str; 5] =
            ["id", "aggregatetype", "aggregateid", "payload", "created_at"];
        let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../services/payments/migrations");
        let files = std::fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path());
        let sql: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let table = sql.split("CREATE TABLE outbox (").nth(1).unwrap().split(");").next().unwrap();
        let columns = table.lines().filter_map(|line| line.split_whitespace().next());
        let altered =
            sql.split("ALTER TABLE outbox").skip(1).filter_map(|rest| rest.split(';').next());
        let added = altered.flat_map(|statement| statement.split("ADD COLUMN ").skip(1));
        let added = added.filter_map(|rest| rest.split_whitespace().next());
        let columns = columns.chain(added).filter(|name| !CARRIED_OTHERWISE.contains(name));
        let columns: Vec<_> = columns.collect();

        let config: Config = serde_json::from_str(CONNECTORS[1].1).unwrap();
        let placement = &config["transforms.outbox.table.fields.additional.placement"];
        let carried: Vec<_> =
            placement.split(',').filter_map(|field| field.split(':').next()).collect();
        assert_eq!(carried, columns);
    }

    #[test]
    fn a_failed_task_is_told_with_its_innermost_cause() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "name": "x",
            "connector": {"state": "RUNNING", "worker_id": "w"},
            "tasks": [{
                "id": 0,
                "state": "FAILED",
                "trace": "Outer\n\tat a\nCaused by: Inner\n\tat b"
            }]
        }))
        .unwrap();
        assert!(!status.is_running());
        assert_eq!(status.failure(), Some("Inner"));
    }

    #[test]
    fn a_connector_without_tasks_does_not_run_yet() {
        let worker = || Worker { state: "RUNNING".into(), trace: None };
        let status = Status { connector: worker(), tasks: Vec::new() };
        assert!(!status.is_running() && status.failure().is_none());
        assert!(Status { connector: worker(), tasks: vec![worker()] }.is_running());
    }
}
