//! What telemetry costs: the same load without it and with it, in pairs.
//!
//! On means that the five services export every span (or the share that is asked for) and their
//! metrics to a collector, which throws them away, are scraped every [`SCRAPE_INTERVAL`], and log
//! JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use contracts::ServiceName;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::paired::{Paired, ask_every, median, turns};
use crate::steady::{Step, orders_in, whole};
use crate::{Figures, Ground};

/// As in `deploy/prometheus/prometheus.yml`.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);

/// After a service has started again: connections, caches, and what is compiled late.
pub(crate) const WARM_UP_SECONDS: u64 = 10;

/// Measures both; `on_step` hears of each measurement. `sampled` is the share of the traces that is
/// exported.
///
/// # Errors
/// When a service does not come back, or orders do not end.
pub async fn telemetry(
    ground: &Ground,
    paired: Paired,
    sampled: f64,
    mut on_step: impl FnMut(String),
) -> Result<Figures> {
    let collector = Collector::start().await?;
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for is_on in turns(paired.pairs) {
        let env = if is_on { collector.settings(sampled) } else { Vec::new() };
        restart(ground, &env).await?;
        ground.place(orders_in(paired.rate, WARM_UP_SECONDS), paired.rate).await?;
        let scraped = if is_on { Some(scrape(ground)?) } else { None };
        let orders = orders_in(paired.rate, paired.seconds);
        let (stories, usage) = ground.place(orders, paired.rate).await?;
        drop(scraped);
        let step = Step::of(&stories, &usage);
        on_step(format!(
            "telemetry {}: {:.1}/s answered, {:.2} CPU s per 1,000, p99 {:.0} ms",
            if is_on { "on " } else { "off" },
            step.answered_per_s,
            step.cpu_s_per_1000,
            step.p99_ms,
        ));
        if is_on { &mut on } else { &mut off }.push(step);
    }
    let mut figures = Figures::default();
    let all = [("off", &off), ("on", &on)];
    for (name, steps) in all {
        let add = |figures: &mut Figures, what: &str, of: fn(&Step) -> f64| {
            figures.add(format!("telemetry.{name}_{what}"), middle(steps, of));
        };
        add(&mut figures, "orders_per_s", |it| it.answered_per_s);
        add(&mut figures, "cpu_s_per_1000", |it| it.cpu_s_per_1000);
        add(&mut figures, "to_settled_p99_ms", |it| it.p99_ms);
    }
    let throughput = middle(&on, |it| it.answered_per_s) / middle(&off, |it| it.answered_per_s);
    figures.add("telemetry.throughput_cost_percent", (1.0 - throughput) * 100.0);
    let cpu = middle(&on, |it| it.cpu_s_per_1000) / middle(&off, |it| it.cpu_s_per_1000);
    figures.add("telemetry.cpu_cost_percent", (cpu - 1.0) * 100.0);
    figures.add("telemetry.exported_mb", whole(collector.bytes()) / 1e6);
    Ok(figures)
}

fn middle(steps: &[Step], of: fn(&Step) -> f64) -> f64 {
    median(steps.iter().map(of))
}

/// Starts every service with `env` on top of its own settings.
async fn restart(ground: &Ground, env: &[(String, String)]) -> Result<()> {
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (&**key, &**value)).collect();
    for service in ServiceName::by_default().map(ServiceName::as_str) {
        ground.shop().stop(service).await?;
        ground.shop().start_process_with(service, &env).await?;
    }
    Ok(())
}

/// Scrapes every service until the guard is dropped.
fn scrape(ground: &Ground) -> Result<DropGuard> {
    let url = |service: ServiceName| format!("{}/metrics", ground.shop().url(service.as_str()));
    let urls = ServiceName::by_default().map(url).collect();
    let http = reqwest::Client::builder().timeout(SCRAPE_INTERVAL).build()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(stopped.run_until_cancelled_owned(ask_every(SCRAPE_INTERVAL, http, urls)));
    Ok(stop.drop_guard())
}

/// Takes what is exported, and throws it away.
struct Collector {
    endpoint: String,
    bytes: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Collector {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a collector")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (bytes, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let take = |State(bytes): State<Arc<AtomicU64>>, body: Bytes| async move {
            bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        };
        let routes = Router::new().fallback(take).with_state(Arc::clone(&bytes));
        let stopped = stop.clone();
        tokio::spawn(
            stopped.run_until_cancelled_owned(async move { axum::serve(listener, routes).await }),
        );
        Ok(Self { endpoint, bytes, _stop: stop.drop_guard() })
    }

    fn settings(&self, sampled: f64) -> Vec<(String, String)> {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint.clone()),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", sampled.to_string()),
            ("LOG_FORMAT", "json".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
