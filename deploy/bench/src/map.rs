//! What the living map costs the view: the same load without anyone who looks and with some who
//! do, in pairs.
//!
//! One who looks is what the page `#/choreography` is to the view: it follows `/events` with twenty
//! single transitions a second at most, and asks `/batons` every second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use contracts::ServiceName;
use load::usage::Usage;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::paired::{Paired, ask_every, median, turns};
use crate::steady::{orders_in, seconds_of, whole};
use crate::{Figures, Ground};

/// How often the page asks what waits where.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Measures both; `on_step` hears of each measurement.
///
/// # Errors
/// When orders do not end, or the view has told those who look nothing.
pub async fn map(
    ground: &Ground,
    paired: Paired,
    lookers: u32,
    mut on_step: impl FnMut(String),
) -> Result<Figures> {
    let (mut off, mut on, mut heard) = (Vec::new(), Vec::new(), 0);
    for is_on in turns(paired.pairs) {
        let looking = if is_on { Some(Looking::start(ground, lookers)?) } else { None };
        let orders = orders_in(paired.rate, paired.seconds);
        let (_, usage) = ground.place(orders, paired.rate).await?;
        heard += looking.map_or(0, |looking| looking.bytes());
        let cores = view_cores(&usage);
        let word = if is_on { "on " } else { "off" };
        on_step(format!("map {word}: the view takes {cores:.3} cores"));
        if is_on { &mut on } else { &mut off }.push(cores);
    }
    ensure!(heard > 0, "the view has told those who look nothing");
    let (off, on) = (median(off), median(on));
    let mut figures = Figures::default();
    figures.add("map.view_cores_without", off);
    figures.add("map.view_cores_with", on);
    figures.add("map.cost_cores", on - off);
    figures.add("map.heard_mb", whole(heard) / 1e6);
    Ok(figures)
}

fn view_cores(usage: &Usage) -> f64 {
    let used = usage.services.get(ServiceName::View.as_str()).copied().unwrap_or_default();
    seconds_of(used.cpu_ms) / usage.over.as_secs_f64()
}

/// So many who look, until this is dropped.
struct Looking {
    bytes: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Looking {
    fn start(ground: &Ground, lookers: u32) -> Result<Self> {
        let (bytes, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let view = ground.shop().url(ServiceName::View.as_str());
        for _ in 0..lookers {
            // A client of its own: a browser shares no connection with another one.
            let http = reqwest::Client::builder().build()?;
            let events = http.get(format!("{view}/events?latest=200&singles=20"));
            let heard = Arc::clone(&bytes);
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                // If the stream ends early, the bytes so far still count.
                let Ok(mut stream) = events.send().await else { return };
                while let Ok(Some(chunk)) = stream.chunk().await {
                    heard.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
            }));
            let asking = ask_every(ASK_INTERVAL, http, vec![format!("{view}/batons")]);
            tokio::spawn(stop.clone().run_until_cancelled_owned(asking));
        }
        Ok(Self { bytes, _stop: stop.drop_guard() })
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
