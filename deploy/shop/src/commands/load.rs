//! `shop load`: customers order at a steady rate.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use client::{Found, Manners, Progress};
use load::{Load, Settings, mix::Mix, report, usage::Meter};

use super::place::Place;

const ORDERS_MAX: u64 = 1_000_000;
const RATE_MAX: f64 = 10_000.0;
const MINUTES_MAX: f64 = 1440.0;
const ORDERS_DEFAULT: u64 = 500;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What load to put on which shop.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// How many orders, 1 to 1000000; 500 if neither this nor --minutes is given
    #[arg(long, conflicts_with = "minutes")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=ORDERS_MAX))]
    orders: Option<u64>,
    /// For how many minutes, up to 1440
    #[arg(long, value_parser = minutes)]
    minutes: Option<f64>,
    /// Orders per second, up to 10000; they are placed at this rate whatever the shop does
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// The same seed gives the same customers, in orders with new ids; drawn if left out
    #[arg(long)]
    seed: Option<u64>,
    /// How often each kind of order comes: plain, declined, scarce, sold-out, cancelled, twice,
    /// wrong
    #[arg(long, default_value_t, value_name = "KIND=WEIGHT,...")]
    mix: Mix,
    /// What customers do whose order is refused with 429 or 503: they come again when
    /// Retry-After says, come again at once, or leave
    #[arg(long, value_enum, default_value_t = Refused::Again)]
    refused: Refused,
    /// Wait until every accepted order has ended
    #[arg(long)]
    wait: bool,
    /// With --wait: give up this many seconds after the last order was accepted
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    patience: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Refused {
    /// When Retry-After says
    Again,
    /// At once
    Hasty,
    /// Never
    Leave,
}

impl From<Refused> for Manners {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Again => Self::Patient,
            Refused::Hasty => Self::Hasty,
            Refused::Leave => Self::Leaves,
        }
    }
}

/// A positive number of minutes.
pub(crate) fn minutes(text: &str) -> Result<f64, String> {
    positive(text, MINUTES_MAX)
}

/// A positive number of orders per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    positive(text, RATE_MAX)
}

fn positive(text: &str, max: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= max);
    number.ok_or_else(|| format!("must be a number above 0, {max} at most"))
}

/// How many orders there are in so many minutes at this rate.
pub(crate) fn orders_in(minutes: f64, rate: f64) -> Result<u64> {
    let orders = (minutes * 60.0 * rate).ceil();
    #[expect(clippy::cast_precision_loss, reason = "the most is far below 2^52")]
    if orders > ORDERS_MAX as f64 {
        bail!(
            "--minutes {minutes} at --rate {rate} are {orders} orders; {ORDERS_MAX} are the most"
        );
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 1 to ORDERS_MAX"
    )]
    Ok(orders as u64)
}

/// Does it.
///
/// # Errors
/// When an answer is not what it should be, or an order does not end in time.
pub(crate) async fn run(args: LoadArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..=u64::from(u32::MAX)));
    let orders = match (args.orders, args.minutes) {
        (Some(orders), _) => orders,
        (None, Some(minutes)) => orders_in(minutes, args.rate)?,
        (None, None) => ORDERS_DEFAULT,
    };
    let shop = Found::at(args.place.dir()).await?;
    let state = shop.state()?;
    let progress = Progress::start();
    progress.step(
        "load",
        format!(
            "{orders} orders at {}/s, --seed {seed} --mix {}, {} builds",
            args.rate,
            args.mix,
            state.build.as_deref().unwrap_or("unknown")
        ),
    );
    let manners = args.refused.into();
    let settings = Settings { seed, mix: args.mix, orders, rate: args.rate, manners };
    let before = Meter::read(&shop).await?;
    let mut load = Load::start(&state, settings).await?;
    let patience = Duration::from_secs(if args.wait { args.patience } else { 0 });
    let end = follow(&mut load, patience, progress).await;
    let stories = load.journal().look(Clone::clone);
    print!("{}", report::summary(&stories));
    // The shop may be gone by now; the orders are the result.
    if let Ok(after) = Meter::read(&shop).await {
        print!("{}", after.since(&before).table(stories.orders.len()));
    }
    match end? {
        End::Interrupted => bail!("interrupted: the orders that were sent go on in the shop"),
        End::Late if args.wait => {
            bail!("not every order has ended {} s after the last one", args.patience)
        }
        End::Settled | End::Late if stories.troubles > 0 => {
            bail!("{} answers were not what they should be", stories.troubles)
        }
        End::Settled | End::Late => Ok(()),
    }
}

enum End {
    Settled,
    Late,
    Interrupted,
}

/// Shows how it goes, until all is placed and, within `patience`, settled.
async fn follow(load: &mut Load, patience: Duration, progress: Progress) -> Result<End> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut tick =
        tokio::time::interval_at((Instant::now() + PROGRESS_EVERY).into(), PROGRESS_EVERY);
    loop {
        tokio::select! {
            placed = load.placed() => { placed?; break }
            _ = tick.tick() => progress.step("load", load.journal().look(report::progress)),
            _ = &mut interrupt => { load.stop_placing(); return Ok(End::Interrupted) }
        }
    }
    let mut settled = std::pin::pin!(load.all_settled(patience));
    loop {
        tokio::select! {
            settled = &mut settled => return Ok(if settled { End::Settled } else { End::Late }),
            _ = tick.tick() => progress.step("load", load.journal().look(report::progress)),
            _ = &mut interrupt => return Ok(End::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_are_told_with_the_bound() {
        for text in ["0", "-1", "x", "NaN", "inf", "10001"] {
            assert!(rate(text).unwrap_err().contains("10000"), "{text}");
        }
        assert!(minutes("1441").unwrap_err().contains("1440"));
        assert_eq!(minutes("0.5"), Ok(0.5));
    }

    #[test]
    fn minutes_become_orders() {
        assert_eq!(orders_in(1.0, 20.0).unwrap(), 1200);
        assert_eq!(orders_in(0.001, 0.1).unwrap(), 1, "one at least");
        assert!(orders_in(1440.0, 10_000.0).unwrap_err().to_string().contains("1000000"));
    }
}
