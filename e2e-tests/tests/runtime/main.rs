//! The stream runtime on a real Kafka and a real registry: what it promises about transactions,
//! restores, rebalances and dead letters.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod acls;
mod dead_letters;
mod example;
mod proxy;
mod sizes;
mod support;
mod torn;
mod transactions;
