//! The shop at rates that it holds: processor time, latencies, and the highest rate.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Result;
use load::journal::Stories;
use load::report::{Latency, latencies};
use load::usage::Usage;

use crate::{Figures, Ground};

/// What the whole shop uses while it has nothing to do, over `seconds`.
///
/// # Errors
/// When the shop does not answer.
pub async fn idle(ground: &Ground, seconds: u64) -> Result<Figures> {
    let before = ground.meter().await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let usage = ground.meter().await?.since(&before);
    let mut figures = Figures::default();
    let cores = |ms: u64| seconds_of(ms) / usage.over.as_secs_f64();
    figures.add("idle.cores", cores(usage.cpu_ms()));
    for (name, used) in &usage.services {
        figures.add(format!("idle.{name}_cores"), cores(used.cpu_ms));
    }
    figures.add("idle.services_mb", whole(ground.services_mb().await?));
    Ok(figures)
}

/// Processor time per 1,000 orders and latencies at `rate`, the whole life of each order.
///
/// # Errors
/// When orders do not end.
pub async fn at(ground: &Ground, rate: f64, seconds: u64) -> Result<Figures> {
    let orders = orders_in(rate, seconds);
    let (stories, usage) = ground.place(orders, rate).await?;
    let mut figures = Figures::default();
    let name = |what: &str| format!("at{rate}.{what}");
    let thousands = whole(orders) / 1e3;
    figures.add(name("cpu_s_per_1000"), seconds_of(usage.cpu_ms()) / thousands);
    for (process, used) in &usage.services {
        let cpu = seconds_of(used.cpu_ms) / thousands;
        figures.add(name(&format!("{process}_cpu_s_per_1000")), cpu);
    }
    for Latency { to, p50_ms, p99_ms, .. } in latencies(&stories.orders) {
        figures.add(name(&format!("to_{to}_p50_ms")), p50_ms);
        figures.add(name(&format!("to_{to}_p99_ms")), p99_ms);
    }
    Ok(figures)
}

/// How far a staircase goes.
#[derive(Clone, Copy, Debug)]
pub struct Staircase {
    /// Orders per second of the first step.
    pub from: f64,
    /// How long a step takes.
    pub seconds: u64,
    /// A rate is held when 99 % of the orders end sooner.
    pub p99_ms: f64,
}

/// Each step is so much higher than the one before.
const STEP: f64 = 1.4;
/// Orders per second between which the steps are, whatever comes.
const RATES: RangeInclusive<f64> = 5.0..=5_000.0;
/// A rate is held when the shop answers so large a share of it: it refuses what is too much.
const KEPT_UP: f64 = 0.95;

/// The highest rate that the shop holds, step by step, downwards if it does not hold the first one;
/// `on_step` hears of each.
///
/// # Errors
/// When orders do not end at all.
pub async fn staircase(
    ground: &Ground,
    staircase: Staircase,
    mut on_step: impl FnMut(String),
) -> Result<Figures> {
    let mut figures = Figures::default();
    let (mut rate, mut falls) = (staircase.from, false);
    while RATES.contains(&rate) {
        let orders = orders_in(rate, staircase.seconds);
        let (stories, usage) = ground.place(orders, rate).await?;
        let step = Step::of(&stories, &usage);
        let held = step.p99_ms <= staircase.p99_ms && step.answered_per_s >= KEPT_UP * rate;
        let word = if held { "held" } else { "not held" };
        on_step(format!(
            "{rate:.0}/s {word}: p99 {:.0} ms, {:.1}/s answered, {:.1} CPU s per 1,000",
            step.p99_ms, step.answered_per_s, step.cpu_s_per_1000
        ));
        if held {
            figures.add("held.orders_per_s", rate);
            figures.add("held.to_settled_p99_ms", step.p99_ms);
            figures.add("held.cpu_s_per_1000", step.cpu_s_per_1000);
        } else {
            figures.add("not_held.orders_per_s", rate);
        }
        falls |= !held && figures.get("held.orders_per_s").is_none();
        match (falls, held) {
            (true, true) | (false, false) => break,
            (true, false) => rate = (rate / STEP).round(),
            (false, true) => rate = (rate * STEP).round(),
        }
    }
    Ok(figures)
}

pub(crate) struct Step {
    pub(crate) p99_ms: f64,
    pub(crate) answered_per_s: f64,
    pub(crate) cpu_s_per_1000: f64,
}

impl Step {
    pub(crate) fn of(stories: &Stories, usage: &Usage) -> Self {
        let settled =
            latencies(&stories.orders).into_iter().find(|latency| latency.to == "settled");
        let orders = whole(stories.orders.len() as u64);
        let ends = stories.orders.iter().filter_map(|story| Some(story.settled?.0));
        let begin = stories.orders.first().map(|story| story.due);
        let took = ends.max().zip(begin).map_or(0.0, |(end, begin)| (end - begin).as_secs_f64());
        let answered = stories.orders.iter().filter(|story| story.reply.is_some()).count();
        Self {
            p99_ms: settled.map_or(f64::INFINITY, |latency| latency.p99_ms),
            answered_per_s: whole(answered as u64) / took.max(f64::EPSILON),
            cpu_s_per_1000: seconds_of(usage.cpu_ms()) * 1e3 / orders,
        }
    }
}

/// How many orders there are in so many seconds, one at least.
pub(crate) fn orders_in(rate: f64, seconds: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are 1 to 5000"
    )]
    let orders = (rate * whole(seconds)).round() as u64;
    orders.max(1)
}

pub(crate) fn seconds_of(ms: u64) -> f64 {
    whole(ms) / 1e3
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
#[must_use]
pub fn whole(number: u64) -> f64 {
    number as f64
}
