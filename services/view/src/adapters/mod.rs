//! What is outside of the process: the tables in Postgres, its notifications, the telemetry.
//! Nothing is decided here.

mod migrations;
mod notifications;
mod postgres;
mod watch;

pub use notifications::{SILENCE_MAX, relay};
pub use postgres::{BlockingPostgres, Postgres};
pub use watch::{export, watch};
