//! What orders is connected to: its state, and the catalog over Kafka.

#[cfg(feature = "service")]
pub mod catalog;
pub mod store;
