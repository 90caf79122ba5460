//! The whole shop on real servers: Kafka, registry, Debezium, Postgres, SMTP, five processes. The
//! tests drive it from outside and read like its promises.
//!
//! They share two shops. Those that break something have one of them for themselves
//! ([`support::alone`]).

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod audit;
mod bad_input;
mod browser;
mod cancellation;
mod capture;
mod catalog;
mod changed_topics;
mod command_line;
mod dashboards;
mod dead_letters;
mod deadlines;
mod faults;
mod happy_path;
mod kills;
mod logs;
mod mail;
mod metrics;
mod overload;
mod page;
mod pass;
mod registry;
mod scale;
mod shapes;
mod sizes;
mod stock;
mod stores;
mod support;
mod traces;
mod views;
mod workshop;

use e2e_tests::PATIENCE;
