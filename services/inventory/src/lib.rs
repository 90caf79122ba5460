//! Inventory reserves stock for orders, releases it, and commits it.
//!
//! Consumes: `orders` (processor `inventory-split`), `inventory.commands` (processor
//! `inventory-stock`), and `catalog.products` for the products that can be restocked.
//! Produces: one command per line on `inventory.commands`; `stock`, `inventory.reservations`, and
//! the outcome of the check `inventory:<sku>` on `order-validations`.
//! Owns: the stock of each product, and the reservations of each order.
//! Guarantees: per sku `restocked = on_hand + committed` and `available = on_hand - reserved >= 0`,
//! under any repetitions, late records and crashes; each Reserve has exactly one outcome.
//! Fails how: without Kafka it waits; records that can never be right go to `inventory.dlq`. While
//! inventory is away, orders wait, and end by their deadline; inventory reserves and releases a
//! late order at once.
//!
//! Without the feature `service` there is no IO in it: what is decided, and the processors.

mod adapters;
pub mod domain;
mod inputs;
pub mod processor;
pub mod topology;

#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod service;

pub use processor::{SplitProcessor, StockProcessor};
