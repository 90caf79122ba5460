//! [`Prometheus`]: a real one, which scrapes a shop of a test and judges its rules.

use anyhow::{Context, Result, bail, ensure};
use client::{Shop, metrics};
use serde_json::Value;
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testkit::PATIENCE;

/// How often it scrapes and judges here: a test should not take minutes.
const INTERVAL: &str = "1s";

/// A running Prometheus. It ends when this is dropped.
pub struct Prometheus {
    child: Child,
    url: String,
    http: reqwest::Client,
    folder: TempDir,
}

/// An alert that is raised, or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Whether it has been true for as long as its rule wants.
    pub is_firing: bool,
    /// What it is about: its labels, and in what state it is.
    pub labels: Value,
    /// What it says.
    pub summary: String,
}

/// The file of the rules that the project ships.
pub fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/alerts/shop.yml")
}

impl Prometheus {
    /// Starts one that scrapes `shop` each second, and judges by `rules`: a text, as
    /// in a file of rules.
    ///
    /// # Errors
    /// When there is no `prometheus`, or it does not start; with its log.
    pub async fn start(shop: &Shop, rules: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("murmuration-prometheus-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("rules.yml"), rules)?;
        let processes = shop.status().await?;
        let config = metrics::config(shop.state(), &processes, &at("rules.yml"), INTERVAL);
        fs::write(at("prometheus.yml"), config)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(at("log"))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("there is no `prometheus`: `apt-get install prometheus` brings it")?;
        let url = format!("http://127.0.0.1:{port}");
        let mut started = Self { child, url, http: reqwest::Client::new(), folder };
        started.until_ready().await?;
        Ok(started)
    }

    async fn until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/-/ready", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let exit = self.child.try_wait()?;
            if exit.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("prometheus is not ready ({exit:?}):\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What `expression` gives now: a list of series, each with `metric` and `value`.
    ///
    /// # Errors
    /// When it cannot be evaluated, with the reason.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.ask("query", &[("query", expression)]).await?;
        ensure!(answer["status"] == "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().cloned().context("the result is a list")
    }

    /// The alerts that are pending or firing.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let answer = self.ask("alerts", &[]).await?;
        let alerts = answer["data"]["alerts"].as_array().context("alerts are a list")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alert = |alert: &Value| Alert {
            name: text(&alert["labels"]["alertname"]),
            is_firing: alert["state"] == "firing",
            labels: alert["labels"].clone(),
            summary: text(&alert["annotations"]["summary"]),
        };
        Ok(alerts.iter().map(alert).collect())
    }

    async fn ask(&self, what: &str, query: &[(&str, &str)]) -> Result<Value> {
        let request = self.http.get(format!("{}/api/v1/{what}", self.url)).query(query);
        Ok(request.send().await?.json().await?)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
