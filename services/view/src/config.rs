//! The settings of the view.

use clap::Parser;
use service_kit::{CommonConfig, config::http_url, postgres::database_url};
use sqlx::postgres::PgConnectOptions;

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

    /// Public base URL of orders, to which the page in a browser sends its commands.
    #[arg(
        long,
        env = "ORDERS_URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = http_url
    )]
    pub orders_url: String,
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
}
