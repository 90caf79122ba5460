//! The world around the shop: customers, the bank, and Debezium.

pub(crate) mod bank;
pub(crate) mod customers;
pub(crate) mod relay;
