//! The adapters of payments: its database and the bank. They take no decision.

pub mod bank;
pub mod postgres;

pub use bank::Bank;
pub use postgres::{Postgres, Slot};
