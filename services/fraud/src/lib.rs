//! Fraud: a validator that declines the orders of customers with too much open value.
//!
//! Consumes: `orders` (processor `fraud-split`) and `fraud.exposures` (processor `fraud-check`).
//! Produces: `fraud.exposures`, orders keyed by customer, and the outcome of the check `fraud` on
//! `order-validations`.
//! Owns: how much value each customer has open.
//! Guarantees: each order has one outcome, whatever repeats or crashes; the orders of one customer
//! are judged one after the other, in the order in which they were taken apart.
//! Fails how: without Kafka it waits; what can never be right goes to `fraud.dlq`. While it is away
//! the orders that require it wait, and end by their deadline.
//!
//! Without the feature `service` there is no IO in it.

pub mod adapters;
pub mod domain;
pub mod inputs;
pub mod processor;
pub mod topology;

#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod service;

#[cfg(feature = "service")]
pub use config::Config;
