//! Tests against real servers.
//!
//! - `tests/runtime`: the stream runtime on a real Kafka and a real registry.
//! - `tests/system`: the whole shop, driven from outside, by HTTP, SQL, raw records and signals.
//!
//! This library is what the system tests see of a shop: [`start`] starts one, in containers or
//! natively, and [`Outside`] is how they see it.

mod audit;
pub mod containers;
mod outside;
mod prometheus;
mod traffic;
mod turn;
mod way;

pub use audit::{all_confirmed, audit};
pub use outside::{Answer, Outside, PATIENCE};
pub use prometheus::{Alert, Prometheus, rules};
pub use traffic::{Placed, Traffic};
pub use turn::Turn;
pub use way::{secured, start, unhurried};
