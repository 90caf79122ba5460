//! Ties the Rust types of the shop to the files of `schemas/`.

pub use streams::avro::{AvroError, Message, SchemaFile};

/// Ties a serde struct to its file below `schemas/`.
macro_rules! avro_record {
    ($type:ty, $path:literal) => {
        streams::avro_record!($type, $path, include_str!(concat!("../../../schemas/", $path)));
    };
}

pub(crate) use avro_record;
pub(crate) use streams::avro_records;
