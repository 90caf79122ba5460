//! Goal: both processors as Kafka would drive them, and the HTTP edge, without Kafka.

mod fixtures;
mod http;
mod parts;
mod split;
mod stock;
