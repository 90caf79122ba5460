//! The view: the query side of the shop, and the only one.
//!
//! Consumes: `orders`, `orders.refusals`, `catalog.products`, `catalog.customers`, `stock`.
//! Produces: `order-views`.
//! Owns: the announcements of transitions, and the tables in its database.
//!
//! Guarantees: what is answered is the fold of the log up to a moment that `View-Staleness-Ms`
//! tells; an order never goes back; every transition that can be seen is announced, after it can
//! be seen; sales count a confirmed order once. A record that cannot follow what is known goes to
//! `view.dlq` and never shows.
//!
//! Pattern: idempotent upserts, then a Kafka transaction. A batch is written to Postgres in one SQL
//! transaction, guarded by version; then announcements and offsets are committed in one Kafka
//! transaction. A crash in between repeats the batch: the rows stay, the announcement is not lost.
//!
//! Fails how: without Postgres the processor waits and readers get 503; without Kafka readers are
//! answered with what is there, and the staleness says how old it is.
//!
//! Without the feature `service` there is no IO in it: what is decided, over tables that are a
//! trait ([`repository::Repository`]). The feature `shapes` adds its answers as types.

pub mod batch;
pub mod domain;
pub mod freshness;
pub mod inputs;
pub mod processor;
pub mod repository;
pub mod topology;

#[cfg(feature = "service")]
pub mod adapters;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod feed;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod questions;
#[cfg(feature = "service")]
pub mod rebuild;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "shapes")]
pub mod shapes;
#[cfg(feature = "service")]
pub mod views;
