//! Goal: payments over a real Postgres, with a bank that fails in every way, crashes and replaced
//! instances: one outcome and at most one capture per order, whatever happens.

#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bad_rows;
mod bank;
mod callers;
mod database;
mod document;
mod logs;
mod metrics;
mod outcomes;
mod records;
mod relay;
mod service;
mod sharing;
mod shop;
