//! Orders: takes the commands for orders, and decides everything but money.
//!
//! Consumes: `orders.commands`, `order-validations`, `orders` (its own log, read back, and the
//! transitions of payments); the tables `catalog.products` and `catalog.customers`; for clients
//! that wait, `order-views` and `orders.refusals`.
//! Produces: OrderRequested, OrderValidated, OrderRejected, OrderCancelled and OrderConfirmed on
//! `orders`, their copies on `orders.latest`, and CommandRefused on `orders.refusals`.
//! Owns: the baton in Requested, Paid and PaymentDeclined.
//! Guarantees: each decision is taken once, on the fold of everything read before it, whatever the
//! order of arrival: records, offsets and state are one Kafka transaction (event sourcing).
//! Fails how: without Kafka it answers 503 and decides nothing; what it has decided is in the log,
//! and the local store can be deleted at any time.
//!
//! Without the feature `service` there is no IO in it: what is decided, over a catalog in memory.

pub mod adapters;
pub mod catalog;
pub mod domain;
pub mod inputs;
mod measures;
pub mod processor;
pub mod topology;

#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod service;
