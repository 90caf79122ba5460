//! Tests against real parts.
//!
//! - `tests/runtime`: the stream runtime on a real Kafka and a real registry.
//! - `tests/system`: the whole shop, driven from outside, by HTTP, SQL, raw records and signals.
//!
//! This library is what the system tests see of a shop: [`Outside`].

mod bookkeeping;
mod outside;
mod traffic;

pub use bookkeeping::Books;
pub use outside::{Answer, Outside, PATIENCE, lines};
pub use traffic::{Placed, Traffic};
