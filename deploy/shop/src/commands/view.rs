//! `shop view`: the lean views of the view service: look at them, rebuild them, drop one.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use client::{Badge, Found};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// How often progress is asked for.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long the view may be away during a rebuild, such as for a restart.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// What to do, and where.
#[derive(Args, Debug)]
pub(crate) struct ViewArgs {
    #[command(subcommand)]
    action: Action,
    /// Where the view listens, when not the shop in --dir
    #[arg(long, env = "VIEW_URL", global = true)]
    view_url: Option<String>,
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop", global = true)]
    dir: PathBuf,
}

/// What to do with the lean views.
#[derive(Debug, Subcommand)]
enum Action {
    /// List them: state, size, what they are made of
    List,
    /// Rebuild some from the beginning of the log, while the present ones serve
    Rebuild {
        /// Their names in the list, or all
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not wait until it is done: the list shows how far it is
        #[arg(long)]
        no_wait: bool,
    },
    /// Drop one; what it answers is 503 until it is rebuilt, and the others serve on
    Drop {
        /// Its name in the list
        name: String,
    },
}

/// A view, as the service tells.
#[derive(Clone, Debug, Deserialize)]
struct Status {
    name: String,
    state: String,
    current: bool,
    topics: Vec<String>,
    bytes: i64,
    rebuild: Option<Rebuild>,
    rebuilt: Option<Rebuilt>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rebuild {
    records: i64,
    records_per_second: Option<f64>,
    seconds_left: Option<f64>,
    problem: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rebuilt {
    at: String,
    records: i64,
    took_ms: i64,
}

#[derive(Deserialize)]
struct Views {
    views: Vec<Status>,
}

/// Does it.
///
/// # Errors
/// When there is no shop or no such view, or the view does not do it.
pub(crate) async fn run(args: ViewArgs) -> Result<()> {
    let (url, badge) = match args.view_url {
        Some(url) => (url, Badge::given()),
        None => {
            let state = Found::at(&args.dir).await?.state()?;
            (state.url("view")?.to_owned(), Badge::staff(&state)?)
        }
    };
    let view = View { client: Client::new(), badge, url: url.trim_end_matches('/').to_owned() };
    match args.action {
        Action::List => {
            print!("{}", table(&view.all().await?));
            Ok(())
        }
        Action::Drop { name } => {
            view.ask(Method::DELETE, &format!("/views/{name}")).await?;
            println!("{name} is dropped: `shop view rebuild {name}` fills it again");
            Ok(())
        }
        Action::Rebuild { names, no_wait } => {
            let names = match names == ["all"] {
                true => view.all().await?.into_iter().map(|view| view.name).collect(),
                false => names,
            };
            for name in &names {
                view.ask(Method::POST, &format!("/views/{name}/rebuild")).await?;
            }
            if no_wait {
                println!("asked for: `shop view list` shows how far it is");
                return Ok(());
            }
            for name in &names {
                view.follow(name).await?;
            }
            Ok(())
        }
    }
}

/// The view service.
struct View {
    client: Client,
    badge: Badge,
    url: String,
}

impl View {
    async fn ask(&self, method: Method, path: &str) -> Result<Value> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = self.badge.on(request.timeout(Duration::from_secs(30)));
        let answer = request.send().await;
        let answer = answer.with_context(|| format!("the view at {} does not answer", self.url))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        match (status, body["detail"].as_str()) {
            (status, _) if status.is_success() => Ok(body),
            (_, Some(detail)) => bail!("{detail}"),
            (StatusCode::NOT_FOUND, None) => bail!("the view at {} has no {path}", self.url),
            (status, None) => bail!("the view at {} answers {status} to {path}", self.url),
        }
    }

    async fn all(&self) -> Result<Vec<Status>> {
        let views: Views = serde_json::from_value(self.ask(Method::GET, "/views").await?)?;
        Ok(views.views)
    }

    /// Print how far the rebuild is, until it is done.
    async fn follow(&self, name: &str) -> Result<()> {
        let (mut away, mut said) = (None, String::new());
        loop {
            let status: Status = match self.ask(Method::GET, &format!("/views/{name}")).await {
                Ok(status) => serde_json::from_value(status)?,
                Err(error) if away.get_or_insert_with(Instant::now).elapsed() > AWAY_MAX => {
                    return Err(error.context("the rebuild goes on when the view is back"));
                }
                Err(_) => {
                    tokio::time::sleep(INTERVAL).await;
                    continue;
                }
            };
            away = None;
            let line = format!("{name}: {}", progress(&status));
            if line != said {
                println!("{line}");
                said = line;
            }
            if status.rebuild.is_none() {
                match status.state.as_str() {
                    "served" => return Ok(()),
                    _ => bail!("{name} was dropped meanwhile"),
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// How far a rebuild is, or what the last one was.
fn progress(status: &Status) -> String {
    match (&status.rebuild, &status.rebuilt) {
        (Some(Rebuild { problem: Some(problem), records, .. }), _) => {
            format!("held up after {records} records, tried again: {problem}")
        }
        (Some(rebuild), _) => {
            let rate = rebuild.records_per_second.map(|rate| format!(", {rate:.0}/s"));
            let left = rebuild.seconds_left.map(|left| format!(", {left:.0} s left"));
            let (rate, left) = (rate.unwrap_or_default(), left.unwrap_or_default());
            format!("{} records{rate}{left}", rebuild.records)
        }
        (None, Some(Rebuilt { at, records, took_ms })) => {
            let rate = records * 1000 / took_ms.max(&1);
            format!("rebuilt at {at}: {records} records in {took_ms} ms, {rate}/s")
        }
        (None, None) => String::new(),
    }
}

fn table(views: &[Status]) -> String {
    let mut out =
        format!("{:<16}{:<10}{:>9}  {:<26}{}\n", "VIEW", "STATE", "KIB", "FOLD OF", "REBUILD");
    for view in views {
        let state = match (view.state.as_str(), view.current) {
            ("served", false) => "old",
            (state, _) => state,
        };
        let (kib, topics) = (view.bytes / 1024, view.topics.join(", "));
        let line = format!("{:<16}{state:<10}{kib:>9}  {topics:<26}{}", view.name, progress(view));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> Status {
        Status {
            name: "sales".into(),
            state: "served".into(),
            current: true,
            topics: vec!["orders".into()],
            bytes: 16_384,
            rebuild: None,
            rebuilt: None,
        }
    }

    fn rebuild(problem: Option<&str>) -> Option<Rebuild> {
        Some(Rebuild {
            records: 1200,
            records_per_second: Some(30_000.4),
            seconds_left: Some(2.2),
            problem: problem.map(str::to_owned),
        })
    }

    #[test]
    fn a_list_says_what_is_served_and_what_is_done() {
        let old = Status { current: false, rebuild: rebuild(None), ..view() };
        let rebuilt = Rebuilt { at: "2026-11-21T10:12:38Z".into(), records: 500, took_ms: 20 };
        let new = Status { rebuilt: Some(rebuilt), ..view() };
        let table = table(&[view(), old, new]);
        let lines: Vec<_> = table.lines().skip(1).collect();
        assert!(lines[0].starts_with("sales           served") && lines[0].ends_with("orders"));
        assert!(
            lines[1].contains(" old ") && lines[1].ends_with("1200 records, 30000/s, 2 s left")
        );
        assert!(lines[2].ends_with("500 records in 20 ms, 25000/s"), "{table}");
    }

    #[test]
    fn what_holds_a_rebuild_up_is_said() {
        let held = Status { rebuild: rebuild(Some("Kafka is away")), ..view() };
        let said = progress(&held);
        assert_eq!(said, "held up after 1200 records, tried again: Kafka is away");
    }
}
