//! The settings of the view.

use clap::Parser;
use service_kit::{
    CommonConfig,
    config::{http_url, within},
    postgres::database_url,
};
use sqlx::postgres::PgConnectOptions;
use std::{ops::RangeInclusive, path::PathBuf};

/// The port that the view listens on unless `HTTP_ADDR` says otherwise.
pub const DEFAULT_PORT: u16 = contracts::ServiceName::View.spec().port;

/// The view: answers questions about orders, customers, products and sales.
#[derive(Clone, Parser)]
#[command(name = "view", version)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// The view's own database.
    #[arg(
        long,
        env = "DATABASE_URL",
        // It may hold a password.
        hide_env_values = true,
        default_value = "postgres://shop@127.0.0.1:5433/view",
        value_parser = database_url
    )]
    pub database_url: PgConnectOptions,

    /// The file with the password of the user of DATABASE_URL and nothing else, read at the start.
    #[arg(long, env = "DATABASE_PASSWORD_FILE")]
    pub database_password_file: Option<PathBuf>,

    /// Public base URL of orders, to which the page in a browser sends its commands.
    #[arg(
        long,
        env = "ORDERS_URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = http_url
    )]
    pub orders_url: String,

    /// Most requests that wait for an order at a time; 503 above it. They take no place of other
    /// questions.
    #[arg(long, env = "WAITERS_MAX", default_value_t = 1024, value_parser = waiters_max)]
    pub waiters_max: usize,

    /// Most event streams at a time; 503 above it. They take no place of waiting requests.
    #[arg(long, env = "STREAMS_MAX", default_value_t = 256, value_parser = streams_max)]
    pub streams_max: usize,

    /// Public base URL of the Workshop, where a person breaks the shop on purpose; without it, the
    /// page has no such screen.
    #[arg(long, env = "WORKSHOP_URL", value_parser = http_url)]
    pub workshop_url: Option<String>,
}

/// Each has a connection, and a connection a file descriptor.
const CLIENTS_MAX: RangeInclusive<usize> = 1..=65_536;

fn waiters_max(text: &str) -> Result<usize, String> {
    within(text, CLIENTS_MAX, "a number of requests", 1024)
}

fn streams_max(text: &str) -> Result<usize, String> {
    within(text, CLIENTS_MAX, "a number of streams", 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_checked_at_start() {
        let url = "postgres://me:secret@db:5432/view";
        let options = Config::parse_from(["view", "--database-url", url]).database_url;
        assert_eq!((options.get_host(), options.get_database()), ("db", Some("view")));
        let refused = Config::try_parse_from(["view", "--database-url", "localhost"]);
        let message = refused.err().unwrap().to_string();
        assert!(message.contains("<DATABASE_URL>") && message.contains(":5433/"), "{message}");
    }

    #[test]
    fn how_many_may_wait_and_follow_has_bounds() {
        for (flag, number) in [("--waiters-max", "0"), ("--streams-max", "70000")] {
            let error = Config::try_parse_from(["view", flag, number]).err().unwrap().to_string();
            assert!(error.contains("from 1 to 65536, such as"), "{error}");
        }
    }
}
