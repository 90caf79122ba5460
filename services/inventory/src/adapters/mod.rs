//! The adapter of inventory: its state. Kafka and HTTP are in `service.rs`.

pub(crate) mod store;
