//! The shop without Docker: real Kafka, registry, Connect, PostgreSQL, a mail sink and the services as
//! local processes under one supervisor, and the commands that talk to a running shop, in processes or in
//! containers.
//!
//! - [`cli`] is the command line, `commands` has one file per command.
//! - [`supervisor`] owns the processes: starts, watches, restarts and stops them.
//! - [`parts`] says what each process is: its command, its settings and how its health is seen.
//! - [`provision`] makes a started shop usable: topics, schemas, databases, connectors, demo stock.
//! - [`order_client`] places orders as a careful client does, [`load`] many of them at a steady rate.
//! - [`containers`] is a shop in containers, seen through Docker.
//! - [`find`] finds the shop that a command means, however it runs.
//! - [`evidence`] collects what can be seen of a running shop, for the auditor.
//! - [`chaos`] breaks a shop under load and measures how it recovers.
//! - [`client`] is the same as a library: the system tests start and drive a shop through it.

pub mod chaos;
pub mod cli;
pub mod client;
mod commands;
pub mod containers;
pub mod ending;
pub mod evidence;
pub mod find;
mod install;
pub mod load;
pub mod mail_sink;
pub mod order_client;
pub mod parts;
mod progress;
pub mod provision;
mod running;
pub mod settings;
pub mod supervisor;
mod template;
