//! The stream runtime on a real Kafka and a real registry: what it promises about transactions,
//! restores, rebalances and dead letters.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod dead_letters;
mod support;
mod transactions;
