//! What payments works with: its database and the bank. Nothing is decided here.

pub mod bank;
pub mod postgres;

pub use bank::Bank;
pub use postgres::Postgres;
