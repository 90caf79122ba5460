//! Goal: both processors as Kafka would drive them, and the HTTP edge, without Kafka.

#![cfg(feature = "service")]

mod callers;
mod document;
mod fixtures;
mod http;
mod parts;
mod split;
mod stock;
