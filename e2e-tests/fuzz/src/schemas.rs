//! Schemas of strangers: any program may register one, and write its id into a record.

use crate::{
    codec::TOPICS,
    input::{Input, Output},
    seeds,
};
use std::sync::Arc;
use streams::{Codec, RegistryError, SchemaRegistry, avro::SchemaFile, is_same_schema};

/// The id of the stranger's schema. Ours have those after it.
const STRANGERS: u32 = 1;

/// A registry with our schemas, and with one of a stranger.
struct Registry(String);

impl SchemaRegistry for Registry {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let found = ours().zip(STRANGERS + 1..).find(|(ours, _)| ours.text == schema);
        found.map(|(_, id)| id).ok_or_else(|| RegistryError::Unknown(subject.to_owned()))
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        if id == STRANGERS {
            return Ok(self.0.clone());
        }
        let found = ours().zip(STRANGERS + 1..).find(|(_, known)| *known == id);
        let unknown = || RegistryError::Unknown(format!("schema id {id}"));
        found.map(|(ours, _)| ours.text.to_owned()).ok_or_else(unknown)
    }
}

fn ours() -> impl Iterator<Item = &'static SchemaFile> {
    TOPICS.iter().flat_map(|topic| (topic.spec.schemas)().iter().copied())
}

/// A value that is written with a schema.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let topic = input.one_of(&TOPICS);
    let schema = String::from_utf8_lossy(input.long()).into_owned();
    for ours in (topic.spec.schemas)() {
        let _ = is_same_schema(&schema, ours.text);
    }
    let codec = Codec::new(Arc::new(Registry(schema)));
    let value = [&[0][..], &STRANGERS.to_be_bytes(), input.rest()].concat();
    (topic.read)(&codec, &value);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for (number, topic) in TOPICS.iter().enumerate() {
        let number = u8::try_from(number).expect("there are few topics");
        for (schema, datum) in seeds::values(topic.spec) {
            let text = (topic.spec.schemas)()[usize::from(schema)].text;
            let seed = Output::default().byte(number).long(text.as_bytes()).rest(&datum);
            made.push(seed.done());
        }
    }
    made
}
