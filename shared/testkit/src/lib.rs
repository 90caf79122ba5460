//! What the tests share. A test never sleeps: it waits for a condition with [`wait_for`], and what
//! needs no Kafka runs in the [`Driver`].

#[cfg(feature = "callers")]
pub mod callers;
mod docs;
pub mod driver;
mod http;
mod kill;
pub mod orders;
pub mod postgres;
mod proxy;
mod spoil;
mod topology;
mod wait;

pub use docs::assert_fresh;
pub use driver::{Driver, Fed, Logs, apply_twice};
pub use http::{get, metric, metrics};
pub use kill::{Step, died_once, kill_at_every_step, steps_of};
pub use proxy::Proxy;
pub use spoil::spoil;
pub use topology::{assert_reactions, assert_topology};
pub use wait::{PATIENCE, wait_for, wait_until};
