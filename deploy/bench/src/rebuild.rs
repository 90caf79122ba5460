//! How fast the view service rebuilds its lean views from the log: alone, and beside orders.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::Manners;
use load::mix::Mix;
use load::{Load, Settings};
use serde_json::Value;

use crate::steady::whole;
use crate::{Figures, Ground};

/// How often progress is asked for: no rebuild that is worth measuring is so short.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a rebuild may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Orders per second that pass while the views are rebuilt.
const BESIDE: f64 = 100.0;

/// More orders than pass during all rebuilds: the load is stopped after the last one.
const ENDLESS: u64 = 1_000_000;

/// How long the orders beside may take to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);

/// Rebuilds each view alone, then each again while 100 orders per second pass. The rate of a view
/// is the number of its records by the time that its rebuild took, swap included.
///
/// # Errors
/// When the view does not answer, or a rebuild does not end within ten minutes.
pub async fn rebuild(ground: &Ground) -> Result<Figures> {
    let views = Views::of(ground)?;
    let mut figures = Figures::default();
    let names = views.names().await?;
    for name in &names {
        let rebuilt = views.rebuild(name).await?;
        figures.add(format!("rebuild.{name}_records"), rebuilt.records);
        figures.add(format!("rebuild.{name}_per_s"), rebuilt.per_s());
    }
    let settings = Settings {
        seed: fastrand::u64(..),
        mix: Mix::default(),
        orders: ENDLESS,
        rate: BESIDE,
        manners: Manners::Patient,
    };
    let mut load = Load::start(ground.state(), settings).await?;
    for name in &names {
        let rebuilt = views.rebuild(name).await?;
        figures.add(format!("rebuild.{name}_beside_orders_per_s"), rebuilt.per_s());
    }
    load.stop_placing();
    load.placed().await?;
    ensure!(load.all_settled(SETTLED_WITHIN).await, "the orders beside have not ended");
    Ok(figures)
}

struct Rebuilt {
    records: f64,
    seconds: f64,
}

impl Rebuilt {
    fn per_s(&self) -> f64 {
        self.records / self.seconds.max(1e-3)
    }
}

/// The view service.
struct Views {
    http: reqwest::Client,
    url: String,
}

impl Views {
    fn of(ground: &Ground) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, url: format!("{}/views", ground.state().url("view")?) })
    }

    async fn get(&self, url: &str) -> Result<Value> {
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    async fn names(&self) -> Result<Vec<String>> {
        let all = self.get(&self.url).await?;
        let views = all["views"].as_array().context("the view service lists no views")?;
        Ok(views.iter().filter_map(|view| Some(view["name"].as_str()?.to_owned())).collect())
    }

    /// Rebuilds one, and waits until the new one serves.
    async fn rebuild(&self, name: &str) -> Result<Rebuilt> {
        let url = format!("{}/{name}", self.url);
        let before = self.get(&url).await?["rebuilt"]["at"].clone();
        self.http.post(format!("{url}/rebuild")).send().await?.error_for_status()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let view = self.get(&url).await?;
            let rebuilt = &view["rebuilt"];
            if view["rebuild"].is_null() && rebuilt["at"] != before {
                let figure = |name: &str| {
                    rebuilt[name].as_u64().with_context(|| format!("no {name} in {rebuilt}"))
                };
                let (records, took_ms) = (figure("records")?, figure("took_ms")?);
                return Ok(Rebuilt { records: whole(records), seconds: whole(took_ms) / 1e3 });
            }
            ensure!(Instant::now() < deadline, "the view {name} is not rebuilt: {view}");
        }
    }
}
