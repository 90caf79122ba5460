//! Makes started servers into a shop: databases, topics, schemas, connectors, demo stock. Every step may
//! be repeated and changes nothing the second time.

pub(crate) mod catalog;
pub(crate) mod connectors;
pub(crate) mod databases;
pub(crate) mod schemas;
pub(crate) mod stock;
pub(crate) mod topics;
