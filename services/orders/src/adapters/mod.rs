//! The adapters of orders: its state, and the catalog over Kafka.

#[cfg(feature = "service")]
pub mod catalog;
pub mod store;
