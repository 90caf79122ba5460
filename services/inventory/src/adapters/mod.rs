//! What inventory is connected to: its state. Kafka and HTTP are in `service.rs`.

pub(crate) mod store;
