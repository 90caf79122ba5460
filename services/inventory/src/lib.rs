//! Inventory holds stock for orders, gives it back, and lets it leave.
//!
//! Consumes: `orders` (processor `inventory-split`), `inventory.commands` (processor
//! `inventory-stock`), and `catalog.products` to know which products can be restocked. Produces:
//! one command per line on `inventory.commands`; `stock`, `inventory.reservations`, and the outcome
//! of the check `inventory:<sku>` on `order-validations`. Owns: how much there is of each product,
//! and what each order holds of it. Guarantees: per sku `restocked = on_hand + committed` and
//! `available = on_hand - reserved >= 0`, whatever repeats, comes late or crashes; each Reserve has
//! exactly one outcome. Fails how: without Kafka it waits; what can never be right goes to
//! `inventory.dlq`. While it is away orders wait, and end by their deadline; what arrives late is
//! reserved and released at once.
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
