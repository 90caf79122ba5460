//! The contracts hold together: Rust types and schema files, topics and their writers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod asyncapi;
mod choreography;
mod guide;
mod limits;
mod registry;
mod schemas;
mod values;
