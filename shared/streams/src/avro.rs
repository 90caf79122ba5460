//! Avro without IO: schema files, and the Rust types of their records. The [`crate::Codec`] does
//! framing and schema ids.

pub(crate) mod foreign;

use crate::limits::BATCH_BYTES_MAX;
use apache_avro::{
    Schema, reader::datum::GenericDatumReader, schema_compatibility::SchemaCompatibility,
    types::Value, writer::datum::GenericDatumWriter,
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::OnceLock;

/// What can go wrong between bytes and types.
pub type AvroError = apache_avro::Error;

/// One schema file, parsed once at first use.
pub struct SchemaFile {
    /// Path below `schemas/`, such as `orders/Order.avsc`; the folder is the owner.
    pub path: &'static str,
    /// The file's text, as it is registered.
    pub text: &'static str,
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    schema: &'static Schema,
    name: String,
    canonical: String,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

impl SchemaFile {
    /// The file at `path` with its text.
    pub const fn new(path: &'static str, text: &'static str) -> Self {
        Self { path, text, compiled: OnceLock::new() }
    }

    /// The parsed schema.
    pub fn schema(&self) -> &'static Schema {
        self.compiled().schema
    }

    /// The record's full name, such as `murmuration.orders.Order`.
    pub fn name(&self) -> &str {
        &self.compiled().name
    }

    /// The schema's Parsing Canonical Form: what two schemas that read the same bytes in the same
    /// way have in common.
    pub(crate) fn canonical(&self) -> &str {
        &self.compiled().canonical
    }

    /// Append the datum of `record`, which must be the Rust type of this schema, to `buffer`.
    ///
    /// # Errors
    /// When the type does not fit the schema.
    pub fn write<T: Serialize>(&self, record: &T, buffer: &mut Vec<u8>) -> Result<(), AvroError> {
        self.compiled().writer.write_ser(buffer, record).map(drop)
    }

    /// Read a datum that was written with exactly this schema: the fast path.
    ///
    /// # Errors
    /// When the bytes are no such datum, or more than one.
    pub fn read<T: DeserializeOwned>(&self, mut datum: &[u8]) -> Result<T, AvroError> {
        let record = self.compiled().reader.read_deser(&mut datum)?;
        if !datum.is_empty() {
            let detail = format!("{} bytes left over after {}", datum.len(), self.name());
            return Err(apache_avro::error::Details::DeserializeValue(detail).into());
        }
        Ok(record)
    }

    /// A datum that was written with another version of this schema, as this version has it:
    /// Avro's schema resolution (defaults, promotion, dropped fields), for [`SchemaFile::read`].
    /// About seven times the cost of the fast path, paid for the records of another version only.
    ///
    /// # Errors
    /// When the bytes are no such datum, or the schemas do not resolve.
    pub fn resolve(&self, writer: &Schema, mut datum: &[u8]) -> Result<Vec<u8>, AvroError> {
        let reader = GenericDatumReader::builder(writer).reader_schema(self.schema()).build()?;
        let value = reader.read_value(&mut datum)?;
        self.compiled().writer.write_value_to_vec(value)
    }

    /// Which field makes records of `writer` unreadable, if one does: it is not there, or of a type
    /// that does not become ours.
    pub(crate) fn cannot_read(&self, writer: &Schema) -> Option<String> {
        let (Schema::Record(ours), Schema::Record(theirs)) = (self.schema(), writer) else {
            return Some("is no record".to_owned());
        };
        ours.fields.iter().find_map(|field| {
            let name = &field.name;
            let Some(found) = theirs.fields.iter().find(|found| found.name == *name) else {
                return field.default.is_none().then(|| format!("has no field {name}"));
            };
            // Of a union, what is there decides, record by record.
            let is_union = matches!(found.schema, Schema::Union(_));
            if is_union || SchemaCompatibility::can_read(&found.schema, &field.schema).is_ok() {
                return None;
            }
            let theirs = found.schema.name().map(ToString::to_string);
            let theirs = theirs.unwrap_or_else(|| found.schema.canonical_form());
            let ours = field.schema.canonical_form();
            Some(format!("has {theirs} as {name}, which is {ours} here"))
        })
    }

    /// Which field has no value in a `datum` of `writer`, although ours has one always.
    pub(crate) fn lacks(&self, writer: &Schema, mut datum: &[u8]) -> Option<String> {
        let Schema::Record(ours) = self.schema() else { return None };
        let reader = GenericDatumReader::builder(writer).build().ok()?;
        let Value::Record(fields) = reader.read_value(&mut datum).ok()? else { return None };
        let is_null =
            |value: &Value| matches!(value, Value::Union(_, value) if **value == Value::Null);
        let lacks = |(name, value): &(String, Value)| {
            let mut needs = ours.fields.iter();
            is_null(value)
                && needs.any(|f| f.name == *name && !matches!(f.schema, Schema::Union(_)))
        };
        let (name, _) = fields.into_iter().find(lacks)?;
        Some(format!("{name} has no value"))
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            // A stranger may have written the lengths in a datum: by default, Avro allocates up to
            // 512 MB for one before it reads.
            apache_avro::util::max_allocation_bytes(BATCH_BYTES_MAX);
            let parsed = Schema::parse_str(self.text);
            let schema: &'static Schema =
                Box::leak(Box::new(parsed.expect("a test parses every schema file")));
            let name = schema.name().map(ToString::to_string);
            // `human_readable`: a UUID is a text in Avro, not 16 bytes.
            let writer = GenericDatumWriter::builder(schema).human_readable(true).build();
            let reader = GenericDatumReader::builder(schema).human_readable(true).build();
            Compiled {
                schema,
                canonical: schema.canonical_form(),
                name: name.expect("a test finds a record in every schema file"),
                writer: writer.expect("a parsed schema resolves"),
                reader: reader.expect("a parsed schema resolves"),
            }
        })
    }
}

/// What a topic carries: one Avro record type, or one of several.
pub trait Message: Sized + Send + Sync + 'static {
    /// The record types of the topic.
    fn schemas() -> &'static [&'static SchemaFile];

    /// The one that `self` is written with.
    fn schema(&self) -> &'static SchemaFile;

    /// Append the datum.
    ///
    /// # Errors
    /// When the value does not fit its schema, which a test should rule out.
    fn write(&self, buffer: &mut Vec<u8>) -> Result<(), AvroError>;

    /// Read a datum that was written with exactly `schema`, one of [`Message::schemas`].
    ///
    /// # Errors
    /// When the bytes are no such datum.
    fn read(schema: &'static SchemaFile, datum: &[u8]) -> Result<Self, AvroError>;
}

/// Ties a serde struct to its schema file: its path below `schemas/`, and its text.
#[macro_export]
macro_rules! avro_record {
    ($type:ty, $path:expr, $text:expr) => {
        impl $type {
            /// The schema file.
            #[allow(unreachable_pub, reason = "the type may be private")]
            pub const SCHEMA: &'static $crate::avro::SchemaFile = {
                static FILE: $crate::avro::SchemaFile = $crate::avro::SchemaFile::new($path, $text);
                &FILE
            };
        }

        impl $crate::avro::Message for $type {
            fn schemas() -> &'static [&'static $crate::avro::SchemaFile] {
                &[Self::SCHEMA]
            }

            fn schema(&self) -> &'static $crate::avro::SchemaFile {
                Self::SCHEMA
            }

            fn write(&self, buffer: &mut Vec<u8>) -> Result<(), $crate::avro::AvroError> {
                Self::SCHEMA.write(self, buffer)
            }

            fn read(
                schema: &'static $crate::avro::SchemaFile,
                datum: &[u8],
            ) -> Result<Self, $crate::avro::AvroError> {
                schema.read(datum)
            }
        }
    };
}

/// Ties an enum of records to their schema files: the record's name tells which one it is.
#[macro_export]
macro_rules! avro_records {
    ($type:ident { $($record:ident),+ $(,)? }) => {
        impl $crate::avro::Message for $type {
            fn schemas() -> &'static [&'static $crate::avro::SchemaFile] {
                &[$($record::SCHEMA),+]
            }

            fn schema(&self) -> &'static $crate::avro::SchemaFile {
                match self {
                    $(Self::$record(_) => $record::SCHEMA,)+
                }
            }

            fn write(&self, buffer: &mut Vec<u8>) -> Result<(), $crate::avro::AvroError> {
                match self {
                    $(Self::$record(record) => $record::SCHEMA.write(record, buffer),)+
                }
            }

            fn read(
                schema: &'static $crate::avro::SchemaFile,
                datum: &[u8],
            ) -> Result<Self, $crate::avro::AvroError> {
                $(if schema.path == $record::SCHEMA.path {
                    return schema.read(datum).map(Self::$record);
                })+
                Err($crate::avro::foreign(schema))
            }
        }

        $(impl From<$record> for $type {
            fn from(record: $record) -> Self {
                Self::$record(record)
            }
        })+
    };
}

/// The error for a schema that is not among a message's own.
#[doc(hidden)]
pub fn foreign(schema: &SchemaFile) -> AvroError {
    apache_avro::error::Details::DeserializeValue(format!("{} does not belong here", schema.name()))
        .into()
}
