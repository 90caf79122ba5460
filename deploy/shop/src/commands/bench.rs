//! `shop bench`: what a shop of release builds does on this machine, next to the machine's limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bench::burst::Wish;
use bench::scale::Scale;
use bench::steady::Staircase;
use bench::{Figures, Ground, Machine, Paired, Run};
use clap::{Args, ValueEnum, value_parser};
use client::Progress;
use contracts::{Timestamp, partition};

use super::load::rate;

/// How many orders a part may have.
const COUNT: std::ops::RangeInclusive<i64> = 100..=1_000_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Seconds until the first order of a fresh shop is confirmed
    Start,
    /// Kafka and Postgres without a shop: what the other figures are divided by
    Limits,
    /// The shop without orders
    Idle,
    /// CPU and latencies at the rates of --rates
    Rates,
    /// The highest rate that the shop holds
    Staircase,
    /// Twice that rate, or twice --held
    Overload,
    /// Commands that are on the log already
    Burst,
    /// The same, all of them for one product
    Sale,
    /// The lean views rebuilt from the log, alone and beside 100 orders per second
    Rebuild,
    /// Orders killed while many orders are open, with its state and without
    Restart,
    /// The same load without telemetry and with it, in pairs; only when it is named
    Telemetry,
    /// The same load without and with --lookers at the living map, in pairs; only when it is named
    Map,
    /// Shops that differ in partitions and instances, in products, in open orders; only when it is
    /// named
    Scale,
}

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// What to measure; all of it if left out
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Orders of a burst
    #[arg(long, default_value_t = 50_000, value_parser = value_parser!(u32).range(COUNT))]
    orders: u32,
    /// Orders that are open when orders is killed
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u32).range(COUNT))]
    open: u32,
    /// Seconds at each rate, of each step of the staircase, and idle
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(5..=3600))]
    seconds: u32,
    /// Orders per second for `rates`
    #[arg(long, value_delimiter = ',', default_values_t = [20.0, 50.0], value_parser = rate)]
    rates: Vec<f64>,
    /// Orders per second of the first step of the staircase; it leads down if that is not held
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    from: f64,
    /// Orders per second that the shop holds, for `overload`; the staircase finds it if left out
    #[arg(long, value_parser = rate)]
    held: Option<f64>,
    /// Measure debug builds all the same: their figures mean little, what must hold holds
    #[arg(long)]
    debug: bool,
    /// The staircase ends when 1 % of the orders take longer until they have ended
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    #[arg(value_parser = value_parser!(u32).range(10..=60_000))]
    p99: u32,
    /// Orders per second for `telemetry` and `map`
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    paired_rate: f64,
    /// How often `telemetry` and `map` measure each of the two
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=20))]
    pairs: u32,
    /// The share of the traces that `telemetry` exports
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", value_parser = share)]
    sampled: f64,
    /// Who looks at the living map in `map`
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = value_parser!(u32).range(1..=100))]
    lookers: u32,
    /// Partitions of the shops of `scale`
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [3, 6, 12])]
    #[arg(value_parser = partition::parse_count)]
    partitions: Vec<i32>,
    /// Instances of each service in these shops, as many as there are partitions at most
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2, 4])]
    #[arg(value_parser = value_parser!(u16).range(1..=9))]
    instances: Vec<u16>,
    /// Products in a shop of `scale`; 0 leaves it out
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [10, 1_000])]
    #[arg(value_parser = value_parser!(u32).range(..=100_000))]
    skus: Vec<u32>,
    /// Open orders in a shop of `scale`; 0 leaves it out
    #[arg(long, value_name = "N", value_delimiter = ',')]
    #[arg(default_values_t = [1_000, 10_000, 100_000])]
    #[arg(value_parser = value_parser!(u32).range(..=1_000_000))]
    open_orders: Vec<u32>,
    /// Append the run to this file, one line of JSON, and compare it with the run before
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl BenchArgs {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// What `scale` varies; at the last of the rates.
    fn scale(&self) -> Scale {
        let counts = |of: &[u32]| of.iter().map(|n| *n as usize).filter(|n| *n > 0).collect();
        Scale {
            partitions: self.partitions.clone(),
            instances: self.instances.clone(),
            skus: counts(&self.skus),
            open: counts(&self.open_orders),
            rate: self.rates.last().copied().unwrap_or(50.0),
            seconds: self.seconds.into(),
            orders: self.orders as usize,
        }
    }

    fn settings(&self) -> BTreeMap<String, String> {
        let rates: Vec<_> = self.rates.iter().map(ToString::to_string).collect();
        let pairs = [
            ("orders", self.orders.to_string()),
            ("open", self.open.to_string()),
            ("seconds", self.seconds.to_string()),
            ("rates", rates.join(",")),
            ("p99_ms", self.p99.to_string()),
            ("build", client::build().to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Does it.
///
/// # Errors
/// When these are debug builds, the shop does not start, or orders do not end.
pub(crate) async fn run(args: BenchArgs) -> Result<()> {
    if client::build() != "release" && !args.debug {
        bail!("these are debug builds, whose figures mean little: start it as `./shop bench`")
    }
    let before = match &args.out {
        Some(path) => Run::all_in(path)?.pop(),
        None => None,
    };
    let progress = Progress::start();
    let machine = Machine::here();
    progress.step("bench", format!("{machine:?}"));
    let at = Timestamp::now().rfc3339();
    let (figures, wrong) = measure(&args, progress).await?;
    let run = Run { at, commit: commit(), machine, settings: args.settings(), figures };
    print!("{}", run.table());
    if let Some(before) = before {
        let falls = run.falls_since(&before);
        falls.iter().for_each(|fall| println!("FELL {fall}"));
        if falls.is_empty() {
            println!("no ratio fell by more than a fifth since {}", before.commit);
        }
    }
    if let Some(path) = &args.out {
        run.append_to(path)?;
    }
    ensure!(wrong.is_empty(), "what must not be:\n  {}", wrong.join("\n  "));
    Ok(())
}

/// The figures, and what must not be.
async fn measure(args: &BenchArgs, progress: Progress) -> Result<(Figures, Vec<String>)> {
    let say = |what: String| progress.step("bench", what);
    let (mut figures, mut wrong) = (Figures::default(), Vec::new());
    // It has shops of its own, one after the other.
    if args.parts.contains(&Part::Scale) {
        figures.extend(bench::scale::scale(&args.scale(), say).await?);
    }
    if args.parts == [Part::Scale] {
        return Ok((figures, wrong));
    }
    let (ground, first_order) = Ground::start().await?;
    say(format!("the first order was confirmed after {first_order:.1} s"));
    if args.wants(Part::Start) {
        figures.add("start.first_confirmed_s", first_order);
    }
    ground.warm_up().await?;
    say("warm".to_owned());
    let (seconds, orders) = (u64::from(args.seconds), args.orders as usize);
    if args.wants(Part::Idle) {
        figures.extend(told(bench::steady::idle(&ground, seconds).await?, say));
    }
    for rate in args.rates.iter().filter(|_| args.wants(Part::Rates)) {
        figures.extend(told(bench::steady::at(&ground, *rate, seconds).await?, say));
    }
    let overloads = args.wants(Part::Overload);
    if args.wants(Part::Staircase) || overloads && args.held.is_none() {
        let stairs = Staircase { from: args.from, seconds, p99_ms: f64::from(args.p99) };
        figures.extend(bench::steady::staircase(&ground, stairs, say).await?);
    }
    if overloads {
        let held = args.held.or(figures.get("held.orders_per_s"));
        let held = held.context("the shop holds no rate: name one with --held")?;
        let drill = bench::overload::overload(&ground, held, seconds, say).await?;
        figures.extend(told(drill.figures, say));
        wrong = drill.wrong;
    }
    if args.wants(Part::Burst) {
        figures.extend(told(bench::burst::burst(&ground, Wish::Mixed, orders).await?, say));
    }
    if args.wants(Part::Sale) {
        figures.extend(told(bench::burst::burst(&ground, Wish::Sale, orders).await?, say));
    }
    if args.wants(Part::Rebuild) {
        figures.extend(told(bench::rebuild::rebuild(&ground).await?, say));
    }
    let passed = [Part::Burst, Part::Sale, Part::Rebuild];
    if passed.into_iter().any(|part| args.wants(part)) {
        let verdict = ground.audit().await?;
        figures.add("audit.violations", bench::whole(verdict.violation_count() as u64));
        if !verdict.is_clean() {
            wrong.push(format!("the audit: {verdict}"));
        }
        if verdict.pending() > 0 {
            wrong.push(format!("{} effects are still on their way", verdict.pending()));
        }
    }
    // After the audits: it leaves dead letters of records that never were.
    if args.wants(Part::Limits) {
        figures.extend(told(bench::limits::kafka(&ground, orders).await?, say));
        figures.extend(told(bench::limits::postgres(&ground, orders).await?, say));
    }
    // Last: its open orders are still on their way when the run ends.
    if args.wants(Part::Restart) {
        figures.extend(told(bench::restart::restart(&ground, args.open as usize).await?, say));
    }
    // Its services start again and again: not a part of what is compared from run to run.
    figures.extend(in_pairs(args, &ground, say).await?);
    ensure!(!figures.0.is_empty(), "nothing was measured");
    Ok((figures, wrong))
}

/// What the same load costs without something and with it.
async fn in_pairs(args: &BenchArgs, ground: &Ground, say: impl Fn(String)) -> Result<Figures> {
    let (seconds, pairs) = (u64::from(args.seconds), args.pairs as usize);
    let paired = Paired { rate: args.paired_rate, seconds, pairs };
    let mut figures = Figures::default();
    if args.parts.contains(&Part::Telemetry) {
        let cost = bench::telemetry::telemetry(ground, paired, args.sampled, &say).await?;
        figures.extend(cost);
    }
    if args.parts.contains(&Part::Map) {
        figures.extend(bench::map::map(ground, paired, args.lookers, &say).await?);
    }
    Ok(figures)
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is no share from 0 to 1"))
}

/// Shows figures as soon as they are there: a run takes a while.
fn told(figures: Figures, say: impl Fn(String)) -> Figures {
    figures.0.iter().for_each(|(name, value)| say(format!("{name} {value:.3}")));
    figures
}

/// The commit of the sources that this program was built from, as far as git knows.
fn commit() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let described = Command::new("git")
        .args(["-C", root, "describe", "--always", "--dirty=+", "--exclude=*"])
        .output();
    let described = described.ok().filter(|output| output.status.success());
    let text = described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}
