//! The shop without Docker: real Kafka, registry, Connect, PostgreSQL, a mail sink and the services
//! as local processes under one supervisor.
//!
//! - [`up()`] runs a shop until a signal or a request ends it, [`down()`] ends one. [`Beside`] is
//!   what a program does meanwhile.
//! - `supervisor` owns the processes: starts, watches, restarts and stops them.
//! - `processes` says what each process is: its command, its settings and how its health is seen.
//! - `install` fetches the servers.
//! - [`provision`] makes started servers into a shop: topics, schemas, databases, connectors, demo
//!   stock.
//! - [`Ports`] and [`PortBlock`]: ports for shops side by side.

mod containers;
mod down;
mod ending;
mod install;
mod ports;
mod processes;
pub mod provision;
mod running;
mod secrets;
mod settings;
mod supervisor;
mod template;
mod tls;
mod up;

pub use containers::secrets_for_containers;
pub use down::{Ended, down};
pub use ending::told_to_end;
pub use install::{fetch, kafka_jars};
pub use ports::{PortBlock, PortSetting, Ports};
pub use settings::{EnvSetting, Scale, With};
pub use up::{Beside, UpOptions, up};
