//! Goal: both processors as Kafka would drive them, and the service without anything that it needs.

#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod callers;
mod check;
mod document;
mod fixtures;
mod parts;
mod split;
