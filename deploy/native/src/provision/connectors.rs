//! The two Debezium connectors: registered when missing or changed, and their failed tasks
//! restarted.
//!
//! A task that met an error it calls final (PostgreSQL was away at the wrong moment) stays `FAILED`
//! until a request restarts it. [`keep_running`] sends that request.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use capture::Status;
use client::Progress;
use reqwest::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::template::render;

/// Each with its name, and its user in a secured shop.
const CONNECTORS: [(&str, &str, &str); 2] = [
    ("catalog", "catalog-connector", include_str!("../../../debezium/catalog.json")),
    ("payments-outbox", "outbox-connector", include_str!("../../../debezium/payments-outbox.json")),
];
/// What is different in a secured shop.
const SECURED: &str = include_str!("../../../debezium/secured.json");
/// The placeholder of a secured shop alone.
const SECRETS: &str = "dir.secrets";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

type Config = BTreeMap<String, String>;

/// Connect's HTTP interface.
#[derive(Clone, Debug)]
pub struct Connect {
    client: Client,
    url: String,
    configs: Vec<(&'static str, Config)>,
}

impl Connect {
    /// Connect at `url`; `lookup` says what the placeholders of the connectors' templates stand
    /// for. With `dir.secrets`, the folder with the passwords as Connect sees it, each connector
    /// logs in.
    ///
    /// # Errors
    /// When it does not know one, or no HTTP client can be made.
    pub fn new(url: String, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let mut configs = Vec::new();
        let settings = |name: &str, template: &str, lookup: &dyn Fn(&str) -> Option<String>| {
            let text = render(template, lookup)?;
            serde_json::from_str::<Config>(&text).with_context(|| name.to_owned())
        };
        for (name, user, template) in CONNECTORS {
            let mut config = settings(name, template, &lookup)?;
            if let Some(secrets) = lookup(SECRETS) {
                let lookup = |name: &str| match name {
                    "connector.user" => Some(user.to_owned()),
                    "jaas.connector" => Some(jaas(user, &secrets).replace('"', "\\\"")),
                    other => lookup(other),
                };
                config.extend(settings(name, SECURED, &lookup)?);
            }
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
        capture::status(&self.url, name).await
    }

    /// Why a connector has failed, if it has. One that is not there is registered.
    async fn failure(&self, name: &str) -> Result<Option<String>> {
        let Some(status) = self.status(name).await? else {
            self.register().await?;
            return Ok(None);
        };
        Ok(status.failure())
    }

    /// Restarts what failed of one connector.
    async fn restart(&self, name: &str) -> Result<()> {
        let query = "includeTasks=true&onlyFailed=true";
        let url = format!("{}/connectors/{name}/restart?{query}", self.url);
        self.client.post(url).send().await?.error_for_status()?;
        Ok(())
    }
}

/// The login of a connector to Kafka; Connect reads the password when it starts a task.
fn jaas(user: &str, secrets: &str) -> String {
    format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{user}\" \
         password=\"${{dir:{secrets}:{user}}}\";"
    )
}

/// The restarts of a connector that fails again and again.
#[derive(Debug, Default)]
struct Restarts {
    /// How many in a row, and when the last one was.
    last: Option<(u32, Instant)>,
    /// Why the last one was, as it was said.
    said: String,
}

impl Restarts {
    /// The longest pause between two: a restart costs Connect and PostgreSQL more than a look.
    const PAUSE_MAX: Duration = Duration::from_secs(30);

    /// One that ran for so long has recovered.
    const RECOVERED: Duration = Duration::from_secs(120);

    /// Whether it is time for the next one, after a pause that grows.
    fn are_due(&self, now: Instant) -> bool {
        let pause = |count: u32| Duration::from_secs(1 << count.min(5)).min(Self::PAUSE_MAX);
        self.last.is_none_or(|(count, at)| now - at >= pause(count))
    }

    /// One more at `now`; whether `why` is news.
    fn one_more(&mut self, now: Instant, why: &str) -> bool {
        let recovered = self.last.is_none_or(|(_, at)| now - at > Self::RECOVERED);
        let count = if recovered { 0 } else { self.last.map_or(0, |(count, _)| count + 1) };
        self.last = Some((count, now));
        let is_news = recovered || self.said != why;
        why.clone_into(&mut self.said);
        is_news
    }
}

/// Restarts failed connectors and tasks until `stop`, and says so. While Connect does not answer
/// there is nothing to do: its own process is watched elsewhere.
pub async fn keep_running(connect: Connect, progress: Progress, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(1);
    let watch = async {
        let mut restarts: BTreeMap<&str, Restarts> = BTreeMap::new();
        loop {
            tokio::time::sleep(EVERY).await;
            for (name, _) in &connect.configs {
                let Ok(Some(why)) = connect.failure(name).await else { continue };
                let (known, now) = (restarts.entry(name).or_default(), Instant::now());
                if !known.are_due(now) || connect.restart(name).await.is_err() {
                    continue;
                }
                if known.one_more(now, &why) {
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
        for (name, _, template) in CONNECTORS {
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
        let mut files: Vec<_> = files.collect();
        files.sort();
        let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        let sql: String = files.iter().map(read).collect();
        let table = sql.split("CREATE TABLE outbox (").nth(1).unwrap().split(");").next().unwrap();
        let columns = table.lines().filter_map(|line| line.split_whitespace().next());
        let altered =
            sql.split("ALTER TABLE outbox").skip(1).filter_map(|rest| rest.split(';').next());
        let added = altered.flat_map(|statement| statement.split("ADD COLUMN ").skip(1));
        let added = added.filter_map(|rest| rest.split_whitespace().next());
        let columns = columns.chain(added).filter(|name| !CARRIED_OTHERWISE.contains(name));
        let mut columns: Vec<_> = columns.collect();
        columns.sort_unstable();

        let config: Config = serde_json::from_str(CONNECTORS[1].2).unwrap();
        let placement = &config["transforms.outbox.table.fields.additional.placement"];
        let mut carried: Vec<_> =
            placement.split(',').filter_map(|field| field.split(':').next()).collect();
        carried.sort_unstable();
        assert_eq!(carried, columns);
    }

    #[test]
    fn what_fails_again_and_again_is_restarted_with_growing_pauses_and_said_once() {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        let (mut at, mut pauses) = (Duration::ZERO, Vec::new());
        assert!(restarts.one_more(start, "too large"));
        for _ in 0..7 {
            let pause = (1..100).find(|s| restarts.are_due(start + at + Duration::from_secs(*s)));
            pauses.push(pause.unwrap());
            at += Duration::from_secs(pause.unwrap());
            assert!(!restarts.one_more(start + at, "too large"));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert!(restarts.one_more(start + at + Duration::from_secs(30), "too small"));
        // It ran well meanwhile.
        let later = start + at + Duration::from_secs(300);
        assert!(restarts.are_due(later) && restarts.one_more(later, "too small"));
        assert!(restarts.are_due(later + Duration::from_secs(1)));
    }
}
