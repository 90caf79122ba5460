//! Fraud: a validator that declines the orders of customers with too much open value.
//!
//! Consumes: `orders` (processor `fraud-split`) and `fraud.exposures` (processor `fraud-check`).
//! Produces: `fraud.exposures`, orders keyed by customer, and the outcome of the check `fraud` on
//! `order-validations`.
//! Owns: the open value of each customer.
//! Guarantees: each order has one outcome, under any repetitions and crashes; fraud judges the
//! orders of one customer one after the other.
//! Fails how: without Kafka it waits; records that can never be right go to `fraud.dlq`. While
//! fraud is away, the orders that require it wait, and end by their deadline.
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
pub mod http;
#[cfg(feature = "service")]
pub mod service;

#[cfg(feature = "service")]
pub use config::Config;
