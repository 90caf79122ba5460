//! The contracts hold together: Rust types and schema files, topics and their writers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod asyncapi;
mod choreography;
mod guide;
mod limits;
mod metrics;
mod registry;
mod schemas;
mod values;

use std::{env, fs, path::Path};
use streams::avro::SchemaFile;

/// The name of a record without its namespace.
fn short(schema: &SchemaFile) -> &str {
    let name = schema.name();
    name.rsplit('.').next().unwrap_or(name)
}

/// The generated `page` has this `text`, which `UPDATE_DOCS` writes.
fn assert_fresh(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    if env::var_os("UPDATE_DOCS").is_some() {
        // Whole or not at all: the test of the guides reads the pages at the same time.
        let new = path.with_added_extension("new");
        fs::write(&new, text).expect("docs/ can be written");
        fs::rename(&new, &path).expect("docs/ can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{page} is stale: `UPDATE_DOCS=1 cargo test -p contracts` writes it");
}
