//! Settings of orders.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use clap::Parser;
use contracts::{limits::CHECK_BYTES_MAX, orders::LINES_MAX};
use service_kit::{
    CommonConfig,
    config::{http_url, within},
};

use crate::{
    domain::{entry::DEADLINE_MAX, order_validation::OUTCOMES_MAX, place_order::Terms},
    http::admission::Bounds,
};

/// Orders' own port.
pub const PORT: u16 = contracts::ServiceName::Orders.spec().port;

/// Below this an order would be over before its checks can come back.
const DEADLINE_MS_MIN: u64 = 100;
/// [`DEADLINE_MAX`].
const DEADLINE_MS_MAX: u64 = DEADLINE_MAX.as_secs() * 1000;
/// Together with one check per line, all outcomes of an order can be kept.
const EXTRA_CHECKS_MAX: usize = OUTCOMES_MAX - LINES_MAX;
/// The checks of inventory are required by the lines.
const INVENTORY_PREFIX: &str = "inventory:";

/// Each waiting request has a connection, and a connection a file descriptor.
const WAITERS_MAX_MAX: usize = 65_536;
/// Below this the ordinary pace of an idle shop would look like a crowd; above it the customer has
/// gone.
const OVERLOAD_WAIT_MS: RangeInclusive<u64> = 100..=60_000;
/// Far above what is tracked: then no order is refused.
const OPEN_MIN: RangeInclusive<usize> = 1..=1_000_000;

/// Takes commands about orders and decides what is not about money.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// Public base URL of the view, where `Location` leads. Its page, and no other one, may send
    /// commands from a browser.
    #[arg(long, env = "VIEW_URL", default_value = "http://127.0.0.1:8084", value_parser = http_url)]
    pub view_url: String,

    /// How long an order may take, in milliseconds: it is ended when this is over.
    #[arg(long, env = "ORDER_DEADLINE_MS", default_value_t = 60_000, value_parser = deadline_ms)]
    pub order_deadline_ms: u64,

    /// Checks that every order requires besides those of inventory, separated by commas. A
    /// validator must write their outcomes to `order-validations`.
    #[arg(long, env = "EXTRA_CHECKS", default_value = "", value_parser = extra_checks)]
    pub extra_checks: ExtraChecks,

    /// Most HTTP requests that wait for an outcome at a time; 503 above it.
    #[arg(long, env = "WAITERS_MAX", default_value_t = 256, value_parser = waiters_max)]
    pub waiters_max: usize,

    /// How long, in milliseconds, orders may wait for one step of their way while the shop is
    /// busy. Of a step for which most wait longer, so many may wait as pass it in this time; above
    /// that, new orders are refused with 503.
    #[arg(long, env = "OVERLOAD_WAIT_MS", default_value_t = 2_000, value_parser = overload_wait_ms)]
    pub overload_wait_ms: u64,

    /// So many orders of this instance may wait for a step, however long they do.
    #[arg(long, env = "OVERLOAD_OPEN_MIN", default_value_t = 100, value_parser = open_min)]
    pub overload_open_min: usize,
}

/// Names of checks, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraChecks(pub Vec<String>);

impl Config {
    /// What every new order gets.
    pub fn terms(&self) -> Terms {
        Terms {
            deadline: Duration::from_millis(self.order_deadline_ms),
            extra_checks: self.extra_checks.0.clone(),
        }
    }

    /// When new orders are refused.
    pub fn bounds(&self) -> Bounds {
        let wait = Duration::from_millis(self.overload_wait_ms);
        Bounds { wait, open_min: self.overload_open_min }
    }
}

fn waiters_max(text: &str) -> Result<usize, String> {
    within(text, 1..=WAITERS_MAX_MAX, "a number of requests", 256)
}

fn overload_wait_ms(text: &str) -> Result<u64, String> {
    within(text, OVERLOAD_WAIT_MS, "milliseconds", 2_000)
}

fn open_min(text: &str) -> Result<usize, String> {
    within(text, OPEN_MIN, "a number of orders", 100)
}

fn deadline_ms(text: &str) -> Result<u64, String> {
    within(text, DEADLINE_MS_MIN..=DEADLINE_MS_MAX, "milliseconds", 60_000)
}

fn extra_checks(text: &str) -> Result<ExtraChecks, String> {
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in &names {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if name.len() > CHECK_BYTES_MAX || !name.chars().all(allowed) {
            return Err(format!(
                "`{name}` is no check; expected 1 to {CHECK_BYTES_MAX} letters, digits, `-`, `_`, \
                 `.` or `:`, such as fraud"
            ));
        }
        if name.starts_with(INVENTORY_PREFIX) {
            return Err(format!("`{name}` is inventory's, and every line requires it anyway"));
        }
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err("a check stands there twice; name each once".to_owned());
    }
    if names.len() > EXTRA_CHECKS_MAX {
        return Err(format!("{} checks are too many; {EXTRA_CHECKS_MAX} may be", names.len()));
    }
    Ok(ExtraChecks(names.into_iter().map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = std::iter::once("orders").chain(args.iter().copied());
        Config::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_a_minute_and_no_extra_checks() {
        let terms = parse(&[]).unwrap().terms();
        assert_eq!(terms, Terms { deadline: Duration::from_secs(60), extra_checks: vec![] });
    }

    #[test]
    fn extra_checks_are_a_list() {
        let config = parse(&["--extra-checks", "fraud, age:18"]).unwrap();
        assert_eq!(config.terms().extra_checks, ["fraud", "age:18"]);
    }

    #[test]
    fn what_cannot_be_is_named_with_the_way_out() {
        for (args, hint) in [
            (["--order-deadline-ms", "99"], "from 100 to"),
            (["--order-deadline-ms", "soon"], "such as 60000"),
            (["--extra-checks", "fraud,fraud"], "twice"),
            (["--extra-checks", "inventory:TEA"], "inventory's"),
            (["--extra-checks", "is it?"], "such as fraud"),
            (["--view-url", "view"], "http://"),
            (["--waiters-max", "0"], "from 1 to 65536"),
            (["--overload-wait-ms", "99"], "milliseconds from 100 to 60000"),
            (["--overload-open-min", "many"], "such as 100"),
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(hint), "{args:?}: {error}");
        }
    }
}
