//! Settings of orders.

use std::{collections::BTreeSet, time::Duration};

use clap::Parser;
use contracts::{limits::CHECK_BYTES_MAX, orders::LINES_MAX};
use service_kit::{CommonConfig, config::http_url};

use crate::domain::{entry::DEADLINE_MAX, order_validation::OUTCOMES_MAX, place_order::Terms};

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
    #[arg(long, env = "WAITERS_MAX", default_value_t = 256)]
    pub waiters_max: usize,
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
}

fn deadline_ms(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(millis) if (DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&millis) => Ok(millis),
        _ => Err(format!(
            "expected milliseconds from {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX}, such as 60000"
        )),
    }
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
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(hint), "{args:?}: {error}");
        }
    }
}
