//! The adapters of the view: the tables in Postgres, its notifications, the telemetry. They take no
//! decision.

pub(crate) mod lean;
pub(crate) mod memory;
mod migrations;
mod notifications;
mod postgres;
mod watch;

pub use lean::{RebuildStatus, Rebuilt, ViewStatus, drop_view, list, want};
pub use notifications::{SILENCE_MAX, relay};
pub use postgres::{BlockingPostgres, Postgres};
pub use watch::{Served, export, watch};
