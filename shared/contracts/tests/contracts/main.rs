//! The contracts hold together: Rust types and schema files, topics and their writers.

mod choreography;
mod registry;
mod schemas;
