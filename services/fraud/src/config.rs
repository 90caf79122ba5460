//! Settings of fraud.

use crate::domain::exposure::{REMEMBERED, Terms};
use clap::{Parser, value_parser};
use contracts::ServiceName;
use service_kit::CommonConfig;
use std::{net::SocketAddr, time::Duration};

/// Shorter windows would be over before an order is.
const WINDOW_MS_MIN: u64 = 1_000;

/// Declines the orders of customers with too much open value.
#[derive(Clone, Debug, Parser)]
#[command(name = "fraud", version)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub common: CommonConfig,

    /// Most value that a customer may have open within the window, in minor units (cents for EUR)
    /// of one currency.
    #[arg(
        long,
        env = "FRAUD_LIMIT_MINOR",
        default_value_t = 500_000,
        value_parser = value_parser!(i64).range(1..)
    )]
    pub limit_minor: i64,

    /// How long an order counts from when it was accepted, in milliseconds: a second to a day.
    #[arg(
        long,
        env = "FRAUD_WINDOW_MS",
        default_value_t = 3_600_000,
        value_parser = value_parser!(u64).range(WINDOW_MS_MIN..=REMEMBERED.as_secs() * 1000)
    )]
    pub window_ms: u64,
}

impl Config {
    /// The address to serve health on.
    pub fn addr(&self) -> SocketAddr {
        self.common.http_addr(ServiceName::Fraud.spec().port)
    }

    /// What customers are judged by.
    pub fn terms(&self) -> Terms {
        Terms { limit_minor: self.limit_minor, window: Duration::from_millis(self.window_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = std::iter::once("fraud").chain(args.iter().copied());
        Config::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_five_thousand_within_an_hour() {
        let hour = Duration::from_secs(3600);
        assert_eq!(parse(&[]).unwrap().terms(), Terms { limit_minor: 500_000, window: hour });
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for args in [["--limit-minor", "0"], ["--window-ms", "999"], ["--window-ms", "86400001"]] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }
}
