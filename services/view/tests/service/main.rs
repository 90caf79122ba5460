//! The view on a real Postgres, without Kafka: records are fed as the processor feeds them, and
//! read back over HTTP. Each test has a database of its own.

#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod batons;
mod callers;
mod crash;
mod document;
mod dropped;
mod harness;
mod page;
mod past;
mod poison;
mod projection;
mod questions;
mod reading;
mod rebuild;
mod stories;
mod streams;
mod waiting;
