//! The contracts hold together: Rust types and schema files, topics and their writers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod acls;
mod asyncapi;
mod choreography;
mod guide;
mod limits;
mod metrics;
mod registry;
mod schemas;
mod values;

use streams::avro::SchemaFile;

/// The name of a record without its namespace.
fn short(schema: &SchemaFile) -> &str {
    let name = schema.name();
    name.rsplit('.').next().unwrap_or(name)
}

/// The generated `page` has this `text`, which `UPDATE_DOCS` writes.
fn assert_fresh(page: &str, text: &str) {
    testkit::assert_fresh("contracts", page, text);
}
