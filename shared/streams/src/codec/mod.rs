//! [`Codec`]: typed messages to and from Confluent's wire format (a zero byte, the schema id as
//! four bytes big-endian, the Avro datum).
//!
//! The codec compares each writer's schema once. Records of our own version take the fast path,
//! straight into the Rust type; it resolves records of another version first.

mod writers;

use crate::{
    Failure, RegistryError, SchemaRegistry,
    avro::{Message, SchemaFile},
    limits::VALUE_BYTES_MAX,
    topic::{Topic, TopicSpec},
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};
use writers::Writers;

const MAGIC: u8 = 0;
const FRAME: usize = 5;

/// Encodes and decodes. Cheap to clone; the caches are shared.
#[derive(Clone)]
pub struct Codec {
    registry: Arc<dyn SchemaRegistry>,
    ids: Arc<RwLock<HashMap<(&'static str, &'static str), u32>>>,
    writers: Arc<Writers>,
}

impl Codec {
    /// A codec over `registry`.
    pub fn new(registry: Arc<dyn SchemaRegistry>) -> Self {
        Self { registry, ids: Arc::default(), writers: Arc::default() }
    }

    /// Look up the ids of everything that may be sent to `topics`, so that no look-up is left for
    /// later. Blocks.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] is final; the others may pass.
    pub fn warm_up(&self, topics: &[&'static TopicSpec]) -> Result<(), RegistryError> {
        for topic in topics {
            for schema in (topic.schemas)() {
                self.id(topic, schema)?;
            }
        }
        Ok(())
    }

    /// Whether the ids of everything that may be sent to `topic` are known.
    pub fn knows(&self, topic: &TopicSpec) -> bool {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        (topic.schemas)().iter().all(|schema| ids.contains_key(&(topic.name, schema.path)))
    }

    /// The framed bytes of `message` for `topic`.
    ///
    /// # Errors
    /// [`Failure::Poison`] if it is larger than [`VALUE_BYTES_MAX`], [`Failure::Retriable`] if the
    /// id is not known yet and the registry is away.
    pub fn encode<V: Message>(
        &self,
        topic: &'static TopicSpec,
        message: &V,
    ) -> Result<Vec<u8>, Failure> {
        let id = self.id(topic, message.schema()).map_err(Failure::retriable)?;
        let mut bytes = Vec::with_capacity(512);
        bytes.push(MAGIC);
        bytes.extend_from_slice(&id.to_be_bytes());
        message.write(&mut bytes).map_err(Failure::poison)?;
        check_size(topic, &bytes)?;
        Ok(bytes)
    }

    /// The message in framed `bytes` from `topic`.
    ///
    /// # Errors
    /// [`Failure::Poison`] with the cause, also for more than [`VALUE_BYTES_MAX`], or
    /// [`Failure::Retriable`] if the writer's schema has not been met before and the registry is
    /// away.
    pub fn decode<K, V: Message>(&self, topic: &Topic<K, V>, bytes: &[u8]) -> Result<V, Failure> {
        check_size(&topic.spec, bytes)?;
        let (id, datum) = unframe(bytes)?;
        let writer = self.writers.get(id, &*self.registry, Instant::now())?;
        let ours = V::schemas().iter().find(|schema| schema.name() == writer.name);
        let Some(ours) = ours else {
            let expected: Vec<_> = V::schemas().iter().map(|schema| schema.name()).collect();
            return Err(Failure::Poison(format!(
                "schema id {id} is {}, but {} carries {}",
                writer.name,
                topic.name(),
                expected.join(" or ")
            )));
        };
        let poison = |error| Failure::Poison(format!("no {}: {error}", writer.name));
        if writer.canonical == ours.canonical() {
            return V::read(ours, datum).map_err(poison);
        }
        let resolved = ours.resolve(&writer.schema, datum).map_err(|error| {
            let why = ours.cannot_read(&writer.schema).map(|why| format!("schema id {id} {why}"));
            let why = why.or_else(|| ours.lacks(&writer.schema, datum));
            let why = why.unwrap_or_else(|| error.to_string());
            Failure::Poison(format!("no {}: {why}", writer.name))
        })?;
        V::read(ours, &resolved).map_err(poison)
    }

    fn id(
        &self,
        topic: &'static TopicSpec,
        schema: &'static SchemaFile,
    ) -> Result<u32, RegistryError> {
        let key = (topic.name, schema.path);
        let known = self.ids.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let id = self.registry.id_of(&topic.subject(schema), schema.text)?;
        self.ids.write().unwrap_or_else(PoisonError::into_inner).insert(key, id);
        Ok(id)
    }
}

/// What is larger could not be written again, which state transfer asks for.
fn check_size(topic: &TopicSpec, value: &[u8]) -> Result<(), Failure> {
    let (size, name) = (value.len(), topic.name);
    if size > VALUE_BYTES_MAX {
        let cause =
            format!("a value on {name} has {VALUE_BYTES_MAX} bytes at most, this one {size}");
        return Err(Failure::Poison(cause));
    }
    Ok(())
}

fn unframe(bytes: &[u8]) -> Result<(u32, &[u8]), Failure> {
    match bytes {
        [MAGIC, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [first, ..] if *first != MAGIC => Err(Failure::Poison(format!(
            "not in Confluent's wire format: the first byte is {first:#04x}, not 0x00"
        ))),
        _ => Err(Failure::Poison(format!(
            "not in Confluent's wire format: {} bytes, less than the {FRAME} of the frame",
            bytes.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryRegistry,
        topic::{Key, PartitionCount},
    };
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Read {
        meter: String,
        value: i64,
    }

    crate::avro_record!(
        Read,
        "meters/Read.avsc",
        r#"{"type":"record","name":"Read","namespace":"meters","fields":[
            {"name":"meter","type":"string"},{"name":"value","type":"long"}]}"#
    );

    struct Meter;

    impl Key for Meter {
        const NAME: &'static str = "meter";

        fn to_bytes(&self) -> Vec<u8> {
            b"m".to_vec()
        }

        fn from_bytes(_: &[u8]) -> Result<Self, String> {
            Ok(Self)
        }
    }

    static READS: Topic<Meter, Read> = Topic::new("reads", "Read", PartitionCount::Fixed(1));

    fn read() -> Read {
        Read { meter: "m-1".into(), value: 17 }
    }

    fn cause(result: Result<Read, Failure>) -> String {
        match result {
            Err(Failure::Poison(cause)) => cause,
            other => panic!("expected poison, got {other:?}"),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        let bytes = codec.encode(&READS.spec, &read()).unwrap();
        assert_eq!(codec.decode(&READS, &bytes).unwrap(), read());
    }

    #[test]
    fn poison_names_its_cause() {
        let registry = Arc::new(MemoryRegistry::default());
        let foreign = registry.id_of("x", r#"{"type":"record","name":"Alien","fields":[]}"#);
        let codec = Codec::new(registry);
        assert!(cause(codec.decode(&READS, b"garbage")).contains("the first byte is 0x67"));
        assert!(cause(codec.decode(&READS, &[0, 0])).contains("2 bytes"));
        assert!(cause(codec.decode(&READS, &[0, 0, 0, 0, 99])).contains("schema id 99"));
        let mut alien = vec![0];
        alien.extend_from_slice(&foreign.unwrap().to_be_bytes());
        assert!(cause(codec.decode(&READS, &alien)).contains("is Alien, but reads carries"));
        // A text of 64 MiB, in four bytes.
        let id = codec.encode(&READS.spec, &read()).unwrap()[..FRAME].to_vec();
        let claimed = cause(codec.decode(&READS, &[&id[..], &[0x80, 0x80, 0x80, 0x40]].concat()));
        assert!(claimed.contains("67108864") && claimed.contains("8388608"), "{claimed}");
        let large = cause(codec.decode(&READS, &vec![0; VALUE_BYTES_MAX + 1]));
        assert_eq!(large, "a value on reads has 900000 bytes at most, this one 900001");
        let mut torn = codec.encode(&READS.spec, &read()).unwrap();
        torn.truncate(7);
        assert!(cause(codec.decode(&READS, &torn)).contains("no meters.Read"));
    }

    /// The wire format of `datum` in this schema.
    fn framed(registry: &MemoryRegistry, schema: &str, datum: &[u8]) -> Vec<u8> {
        let id = registry.id_of("x", schema).unwrap();
        [&[0][..], &id.to_be_bytes(), datum].concat()
    }

    #[test]
    fn what_cannot_be_read_of_another_version_is_named() {
        let registry = Arc::new(MemoryRegistry::default());
        let codec = Codec::new(registry.clone());
        let with = |fields: &str| {
            format!(r#"{{"type":"record","name":"Read","namespace":"meters","fields":[{fields}]}}"#)
        };
        let read = |fields: &str, datum: &[u8]| {
            codec.decode(&READS, &framed(&registry, &with(fields), datum))
        };
        let meter = r#"{"name":"meter","type":"string"}"#;
        let gone = cause(read(meter, &[2, b'm']));
        assert!(gone.ends_with("has no field value"), "{gone}");
        let text = format!(r#"{meter},{{"name":"value","type":"string"}}"#);
        let other = cause(read(&text, &[2, b'm', 2, b'7']));
        assert!(other.ends_with(r#"has "string" as value, which is "long" here"#), "{other}");
        // A column that may be empty is read where it is not.
        let nullable = format!(r#"{meter},{{"name":"value","type":["null","long"]}}"#);
        let filled = read(&nullable, &[2, b'm', 2, 34]).unwrap();
        assert_eq!((filled.meter.as_str(), filled.value), ("m", 17));
        let empty = cause(read(&nullable, &[2, b'm', 0]));
        assert!(empty.ends_with("value has no value"), "{empty}");
        // A narrower type becomes ours.
        let narrow = format!(r#"{meter},{{"name":"value","type":"int"}}"#);
        assert_eq!(read(&narrow, &[2, b'm', 34]).unwrap().value, 17);
    }

    #[test]
    fn another_version_of_a_schema_is_resolved() {
        let registry = Arc::new(MemoryRegistry::default());
        // A later writer: one field more, and another order of fields.
        let later = r#"{"type":"record","name":"Read","namespace":"meters","fields":[
            {"name":"value","type":"long"},{"name":"note","type":"string","default":""},
            {"name":"meter","type":"string"}]}"#;
        let id = registry.id_of("x", later).unwrap();
        let codec = Codec::new(registry);
        let mut bytes = vec![0];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.push(34);
        for text in ["why", "m-1"] {
            bytes.push(u8::try_from(text.len() * 2).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
        assert_eq!(codec.decode(&READS, &bytes).unwrap(), read());
    }
}
