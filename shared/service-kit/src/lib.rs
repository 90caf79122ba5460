//! The shared needs of every service of the shop, written once: settings, telemetry,
//! health, an HTTP server with limits, problem+json errors and an orderly shutdown.
//!
//! A service's `main.rs` is these three steps:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use service_kit::{CommonConfig, Guarded, Lifecycle, Limits, Telemetry};
//!
//! #[derive(clap::Parser)]
//! struct Config {
//!     #[command(flatten)]
//!     common: CommonConfig,
//! }
//!
//! fn main() -> ExitCode {
//!     let config: Config = service_kit::parse_config();
//!     let telemetry = Telemetry::init("orders", &config.common);
//!     service_kit::run(telemetry, |shutdown| async move {
//!         let lifecycle = Lifecycle::new(shutdown);
//!         let (addr, callers) = (config.common.http_addr(8080), &config.common.callers);
//!         let api = Guarded::default();
//!         let serving = lifecycle.serve((addr, callers), api, Limits::default()).await?;
//!         serving.registered().stopped().await
//!     })
//! }
//! ```
//!
//! The crate knows nothing of Kafka, and of Postgres only with the feature `postgres`, so each
//! service pays only for what it uses.

mod addresses;
pub mod backoff;
pub mod callers;
pub mod config;
pub mod health;
pub mod http;
pub mod json;
pub mod lifecycle;
pub mod metrics;
pub mod openapi;
mod operations;
#[cfg(feature = "postgres")]
pub mod postgres;
mod probe;
pub mod problem;
pub mod run;
pub mod schemas;
pub mod telemetry;
pub mod waiters;

pub use backoff::{Backoff, Outage};
pub use callers::{Access, Caller, CallerSettings, Callers, Guarded, Routes};
pub use config::{CommonConfig, LogFormat, parse_config};
pub use health::{Health, Readiness};
pub use http::{BoundServer, Limits, app, serve, try_out};
pub use json::{ValidJson, ValidPath, ValidQuery};
pub use lifecycle::{Lifecycle, Pulse, Running, Serving};
pub use metrics::Metrics;
pub use problem::{FieldError, Problem};
pub use run::{Shutdown, run};
pub use telemetry::Telemetry;
pub use waiters::{Waiter, Waiters};
