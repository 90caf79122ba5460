//! The schema registry: the trait that a [`crate::Codec`] needs, and a registry in memory.

use crate::avro::foreign;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Why the registry gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It knows no such schema.
    #[error("the schema registry knows no {0}")]
    Unknown(String),
    /// It has a version of the subject that ours is not compatible with.
    #[error("the schema registry refuses our schema for {subject}: {detail}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's words.
        detail: String,
    },
    /// It cannot be reached, or is not itself.
    #[error("the schema registry does not answer: {0}")]
    Unavailable(String),
    /// What it says of an id is not what the log says.
    #[error(
        "the schema registry is not the one that the log was written with: {0}; \
         `./shop provision schemas` gives it the ids of the log"
    )]
    Changed(String),
    /// It cannot be compared with the log.
    #[error("the schema registry cannot be compared with the log: {0}")]
    Unchecked(String),
}

/// Whether two texts are the same schema for a reader: the same names and types.
pub fn is_same_schema(one: &str, other: &str) -> bool {
    let canonical = |text: &str| foreign::parse(text).map(|schema| schema.canonical_form()).ok();
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

/// A Confluent-compatible schema registry. Calls block; ids are cached by the [`crate::Codec`].
pub trait SchemaRegistry: Send + Sync {
    /// The id of `schema`, which must be registered under `subject`.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError>;

    /// The schema with this id.
    ///
    /// # Errors
    /// [`RegistryError`].
    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError>;
}

/// A registry in memory, for the simulation and for tests without a network: it takes any schema
/// and gives ids from 1.
#[derive(Default)]
pub struct MemoryRegistry {
    /// Each with its canonical form (Avro 1.12, "Parsing Canonical Form").
    schemas: Mutex<BTreeMap<u32, (String, String)>>,
}

impl SchemaRegistry for MemoryRegistry {
    fn id_of(&self, _: &str, schema: &str) -> Result<u32, RegistryError> {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let parsed = foreign::parse(schema).map_err(|e| RegistryError::Unknown(e.to_string()))?;
        let form = parsed.canonical_form();
        let known = schemas.iter().find(|(_, (_, known))| *known == form).map(|(id, _)| *id);
        Ok(known.unwrap_or_else(|| {
            let id = u32::try_from(schemas.len()).unwrap_or(u32::MAX) + 1;
            schemas.insert(id, (schema.to_owned(), form));
            id
        }))
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        let schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let schema = schemas.get(&id).map(|(schema, _)| schema.clone());
        schema.ok_or_else(|| RegistryError::Unknown(format!("schema id {id}")))
    }
}
