//! Settings of payments.

use crate::supervisor::Settings;
use clap::Parser;
use service_kit::{CommonConfig, config::http_url};
use sqlx::postgres::PgConnectOptions;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The default port of payments.
const PORT: u16 = contracts::ServiceName::Payments.spec().port;

const DEFAULT: Settings = Settings::DEFAULT;

/// Charges validated orders, gives money back, and keeps the books.
#[derive(Clone, Parser)]
#[command(name = "payments", version)]
pub struct Config {
    /// The settings of every service.
    #[command(flatten)]
    pub common: CommonConfig,

    /// The Postgres database of payments.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "postgres://shop@127.0.0.1:5433/payments",
        hide_env_values = true,
        value_parser = database_url
    )]
    pub database_url: PgConnectOptions,

    /// The file with the password of the user of DATABASE_URL and nothing else, read at the start.
    #[arg(long, env = "DATABASE_PASSWORD_FILE")]
    pub database_password_file: Option<PathBuf>,

    /// Base URL of the bank.
    #[arg(long, env = "BANK_URL", default_value = "http://127.0.0.1:8087", value_parser = http_url)]
    pub bank_url: String,

    /// Longest wait for an answer of the bank, in milliseconds.
    #[arg(
        long,
        env = "BANK_TIMEOUT_MS",
        default_value_t = DEFAULT.bank_timeout.as_millis() as u64,
        value_parser = clap::value_parser!(u64).range(50..=30_000)
    )]
    pub bank_timeout_ms: u64,

    /// Most calls to the bank at a time, per instance.
    #[arg(
        long,
        env = "BANK_CONCURRENCY",
        default_value_t = DEFAULT.concurrency_max as u16,
        value_parser = clap::value_parser!(u16).range(1..=1_000)
    )]
    pub bank_concurrency: u16,

    /// Longest time without looking for work that another instance has left, in milliseconds.
    #[arg(
        long,
        env = "POLL_INTERVAL_MS",
        default_value_t = DEFAULT.poll_interval.as_millis() as u64,
        value_parser = clap::value_parser!(u64).range(10..=60_000)
    )]
    pub poll_interval_ms: u64,

    /// How long rows stay in the outbox after they were written, in hours.
    #[arg(
        long,
        env = "OUTBOX_RETENTION_HOURS",
        default_value_t = DEFAULT.outbox_retention.as_secs() / 3_600,
        value_parser = clap::value_parser!(u64).range(1..=10_000)
    )]
    pub outbox_retention_hours: u64,
}

impl Config {
    /// The address to serve on.
    pub fn addr(&self) -> SocketAddr {
        self.common.http_addr(PORT)
    }

    /// What the supervisor goes by.
    pub fn supervisor(&self) -> Settings {
        Settings {
            bank_timeout: Duration::from_millis(self.bank_timeout_ms),
            concurrency_max: self.bank_concurrency.into(),
            poll_interval: Duration::from_millis(self.poll_interval_ms),
            outbox_retention: Duration::from_secs(self.outbox_retention_hours * 60 * 60),
        }
    }

    /// Where the database is, without secrets.
    pub fn database_place(&self) -> String {
        let options = &self.database_url;
        let database = options.get_database().unwrap_or_default();
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }
}

fn database_url(text: &str) -> Result<PgConnectOptions, String> {
    let way_out = "expected a URL such as postgres://user:password@127.0.0.1:5433/payments";
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(way_out.to_owned());
    }
    text.parse().map_err(|error| format!("{error}; {way_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_named_without_its_password() {
        let url = "postgres://shop:secret@db.example:5444/payments";
        let config = Config::parse_from(["payments", "--database-url", url]);
        assert_eq!(config.database_place(), "db.example:5444/payments");
    }

    #[test]
    fn unusable_values_are_named() {
        for (flag, value) in
            [("--database-url", "mysql://x"), ("--bank-url", "bank"), ("--bank-timeout-ms", "0")]
        {
            let error = Config::try_parse_from(["payments", flag, value]).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(flag), "{flag} {value}: {error}");
        }
    }
}
