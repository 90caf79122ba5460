//! The topic `schemas`: which schema each id in the log stands for, and the registry compared with
//! it.
//!
//! A record holds the id of its schema alone. A registry that loses its storage gives the ids to
//! other schemas, and what is read with them is wrong or unreadable. So the log keeps its own list,
//! which is as old and as whole as the records, and nothing is read or written with a registry that
//! says something else. (Confluent's registry keeps its schemas in a topic for the same reason.)

use crate::{HttpRegistry, admin::send_all, log::LogReader};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use streams::{Headers, Outgoing, Record, RegistryError, SchemaRegistry, is_same_schema};
use tracing::warn;

pub use streams::topic::SCHEMAS;

/// The key of a copy of the whole registry, in the registry's own form.
const EXPORT: &[u8] = b"export";

/// How long what was read of the topic is good for.
const FRESH: Duration = Duration::from_secs(5);
/// How long it is not tried again after a failure: every thread of a service asks.
const FAILED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Under which one it was found; it may be registered under others as well.
    subject: String,
    schema: String,
}

/// What the log knows of schemas.
#[derive(Debug, Clone, Default)]
pub struct KnownSchemas {
    schemas: BTreeMap<u32, (String, String)>,
    export: Option<Vec<u8>>,
}

impl KnownSchemas {
    /// Read the topic. Blocks.
    ///
    /// # Errors
    /// When Kafka is away, or has no such topic yet.
    pub fn read(bootstrap: &str) -> anyhow::Result<Self> {
        let (mut known, mut log) = (Self::default(), LogReader::new(bootstrap, "schemas")?);
        // Quicker than to read from a Kafka that is away: a service that stops waits for it.
        log.look_for(&SCHEMAS)
            .and_then(|()| {
                log.read_end(&SCHEMAS, i64::MAX, |record| {
                    known.take(&record);
                    Ok(())
                })
            })
            .with_context(|| format!("Kafka at {bootstrap}"))?;
        Ok(known)
    }

    fn take(&mut self, record: &Record) {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return };
        if **key == *EXPORT {
            self.export = Some(value.to_vec());
            return;
        }
        let id = str::from_utf8(key).ok().and_then(|key| key.parse().ok());
        match (id, serde_json::from_slice::<Entry>(value)) {
            (Some(id), Ok(Entry { subject, schema })) => self.add(id, subject, schema),
            _ => warn!(record = record.address(), "no schema with its id; it does not count"),
        }
    }

    /// Add what stands for `id`.
    pub fn add(&mut self, id: u32, subject: impl Into<String>, schema: impl Into<String>) {
        self.schemas.insert(id, (subject.into(), schema.into()));
    }

    /// Every id with its schema.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.schemas.iter().map(|(id, (_, schema))| (*id, schema.as_str()))
    }

    /// The schema that the log has under `id`.
    fn schema(&self, id: u32) -> Option<&str> {
        self.schemas.get(&id).map(|(_, schema)| schema.as_str())
    }

    /// Whether the log knows `id`.
    pub fn contains(&self, id: u32) -> bool {
        self.schemas.contains_key(&id)
    }

    /// The copy of the whole registry, if there is one.
    pub fn export(&self) -> Option<&[u8]> {
        self.export.as_deref()
    }

    /// Whether the registry is right to say that `id` stands for `found`; none, if it knows no such
    /// id.
    ///
    /// # Errors
    /// [`RegistryError::Changed`] when the log knows better.
    pub fn check(&self, id: u32, found: Option<&str>) -> Result<(), RegistryError> {
        let Some((subject, schema)) = self.schemas.get(&id) else { return Ok(()) };
        let says = match found {
            Some(found) if is_same_schema(found, schema) => return Ok(()),
            Some(_) => "has another schema",
            None => "has no schema",
        };
        Err(RegistryError::Changed(format!(
            "it {says} for id {id}, which the log has for {subject}"
        )))
    }

    /// Whether the registry is right to give `id` to `schema` under `subject`.
    ///
    /// # Errors
    /// [`RegistryError::Changed`] when the log has it under another id.
    pub fn check_ours(&self, id: u32, subject: &str, schema: &str) -> Result<(), RegistryError> {
        self.check(id, Some(schema))?;
        if self.schemas.contains_key(&id) {
            return Ok(());
        }
        let known = self.schemas.iter().find(|(_, (_, known))| known == schema);
        known.map_or(Ok(()), |(known, _)| {
            let what = format!("it has {subject} under id {id}, the log under id {known}");
            Err(RegistryError::Changed(what))
        })
    }
}

/// Keep in the log what each of `ids` stands for, a subject and a schema, and a copy of the whole
/// registry, which has them. Blocks.
///
/// # Errors
/// When Kafka is away, or the copy is larger than a batch.
pub fn remember<'a>(
    bootstrap: &str,
    export: Vec<u8>,
    ids: impl Iterator<Item = (u32, &'a str, &'a str)>,
) -> anyhow::Result<()> {
    let record = |key: &[u8], value| {
        let (topic, headers) = (SCHEMAS.name, Headers::default());
        Outgoing { topic, partition: 0, key: Some(key.to_vec()), value: Some(value), headers }
    };
    // The copy first: an id that the log knows can be given back.
    let mut records = vec![record(EXPORT, export)];
    for (id, subject, schema) in ids {
        let entry = Entry { subject: subject.to_owned(), schema: schema.to_owned() };
        records.push(record(id.to_string().as_bytes(), serde_json::to_vec(&entry)?));
    }
    send_all(bootstrap, "schemas", &records)
        .with_context(|| format!("cannot write {}", SCHEMAS.name))
}

/// When the log was read last, and what came of it.
type LastRead = (Instant, Result<Arc<KnownSchemas>, String>);

type ReadKnown = Box<dyn Fn() -> anyhow::Result<KnownSchemas> + Send + Sync>;

/// A registry that is believed while it says what the log says. The first question for an id
/// compares every id of the log; later ones compare their answers. What was compared is known from
/// then on: a registry that goes away, or hangs, stops no reader of it.
pub struct CheckedRegistry<R> {
    registry: R,
    read_known: ReadKnown,
    last_read: Mutex<Option<LastRead>>,
    /// About these it was right so far. Threads share it, and a slow registry is not asked again.
    right: Mutex<BTreeMap<u32, String>>,
    /// It was once right about every id of the log: these.
    compared: OnceLock<Arc<KnownSchemas>>,
}

impl CheckedRegistry<HttpRegistry> {
    /// The registry at `url`, compared with the log on `bootstrap`. As for [`HttpRegistry::new`],
    /// the calls block.
    ///
    /// # Errors
    /// When `url` is none, or no HTTP client can be made.
    pub fn connect(
        url: &str,
        bootstrap: &str,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, RegistryError> {
        let bootstrap = bootstrap.to_owned();
        let read = move || KnownSchemas::read(&bootstrap);
        Ok(Self::new(HttpRegistry::new(url, runtime)?, read))
    }
}

impl<R: SchemaRegistry> CheckedRegistry<R> {
    /// `registry`, compared with what `read_known` gives.
    pub fn new(
        registry: R,
        read_known: impl Fn() -> anyhow::Result<KnownSchemas> + Send + Sync + 'static,
    ) -> Self {
        let (read_known, right, compared) =
            (Box::new(read_known), Mutex::default(), OnceLock::new());
        Self { registry, read_known, last_read: Mutex::new(None), right, compared }
    }

    fn known(&self) -> Result<Arc<KnownSchemas>, RegistryError> {
        let mut last = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let good_for = |read: &Result<_, _>| if read.is_ok() { FRESH } else { FAILED_FOR };
        let is_good = last.as_ref().is_some_and(|(at, read)| at.elapsed() < good_for(read));
        if !is_good {
            let read = (self.read_known)().map(Arc::new).map_err(|error| format!("{error:#}"));
            *last = Some((Instant::now(), read));
        }
        let (_, read) = last.as_ref().expect("it was just read");
        read.clone().map_err(RegistryError::Unchecked)
    }

    fn compare(&self, known: &Arc<KnownSchemas>) -> Result<(), RegistryError> {
        if self.compared.get().is_some() {
            return Ok(());
        }
        let right = || self.right.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, schema) in known.iter() {
            if right().get(&id).is_none_or(|right| right != schema) {
                check(known, id, &self.registry.schema_by_id(id))?;
                right().insert(id, schema.to_owned());
            }
        }
        self.compared.get_or_init(|| Arc::clone(known));
        right().clear();
        Ok(())
    }
}

/// What the registry said of `id`: a schema, none, or nothing that can be compared.
fn check(
    known: &KnownSchemas,
    id: u32,
    found: &Result<String, RegistryError>,
) -> Result<(), RegistryError> {
    match found {
        Ok(schema) => known.check(id, Some(schema)),
        Err(RegistryError::Unknown(_)) => known.check(id, None),
        Err(RegistryError::Unavailable(why)) => Err(RegistryError::Unavailable(why.clone())),
        Err(error) => Err(RegistryError::Unchecked(error.to_string())),
    }
}

impl<R: SchemaRegistry> SchemaRegistry for CheckedRegistry<R> {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let asked = self.registry.id_of(subject, schema);
        if let Err(RegistryError::Unavailable(_)) = asked {
            return asked;
        }
        let known = self.known()?;
        self.compare(&known)?;
        let id = asked?;
        known.check_ours(id, subject, schema)?;
        Ok(id)
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        if let Some(compared) = self.compared.get().and_then(|known| known.schema(id)) {
            return Ok(compared.to_owned());
        }
        let found = self.registry.schema_by_id(id);
        if let Ok(_) | Err(RegistryError::Unknown(_)) = found {
            check(&*self.known()?, id, &found)?;
        }
        found
    }
}

#[cfg(test)]
#[path = "schemas_tests.rs"]
mod tests;
