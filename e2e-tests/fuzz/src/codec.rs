//! Values in Avro, as they stand on the topics.

use crate::{
    input::{Input, Output},
    seeds,
};
use contracts::topics::{self, Key, Topic};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, LazyLock},
};
use streams::{
    Codec, Failure, MemoryRegistry, SchemaRegistry,
    avro::{Message, SchemaFile},
    limits::VALUE_BYTES_MAX,
    topic::TopicSpec,
};

/// A topic whose values can be read.
pub(crate) struct Readable {
    pub(crate) spec: &'static TopicSpec,
    /// Whether a value could be read. Panics if it is not what it was, once written and read again.
    pub(crate) read: fn(&Codec, &[u8]) -> bool,
}

macro_rules! readable {
    ($($topic:ident),+ $(,)?) => {
        [$(Readable {
            spec: &topics::$topic.spec,
            read: |codec, bytes| read(&topics::$topic, codec, bytes),
        }),+]
    };
}

/// Every topic of the shop that carries Avro.
pub(crate) static TOPICS: [Readable; 14] = readable![
    ORDER_COMMANDS,
    ORDERS,
    ORDERS_LATEST,
    ORDER_REFUSALS,
    ORDER_VALIDATIONS,
    INVENTORY_COMMANDS,
    STOCK,
    RESERVATIONS,
    PRODUCTS,
    CUSTOMERS,
    ORDER_VIEWS,
    EMAILS,
    EMAILS_WAITING,
    EXPOSURES,
];

/// What the targets know of schemas.
pub(crate) struct Known {
    pub(crate) codec: Codec,
    /// The ids that a value on a topic may have: of its own schemas, and of other versions of them.
    ids: BTreeMap<&'static str, Vec<u32>>,
}

/// A registry with our schemas, and with other versions of them.
pub(crate) static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let registry = Arc::new(MemoryRegistry::default());
    let id = |text: &str| registry.id_of("", text).expect("it is a schema");
    let mut ids = BTreeMap::new();
    for topic in &TOPICS {
        let own = (topic.spec.schemas)();
        let mut of_topic: Vec<u32> = own.iter().map(|schema| id(schema.text)).collect();
        for schema in own {
            of_topic.extend(versions(schema).iter().map(|text| id(text)));
        }
        ids.insert(topic.spec.name, of_topic);
    }
    Known { codec: Codec::new(registry), ids }
});

impl Known {
    /// A value on `topic` that is framed with one of its schemas, or not at all.
    pub(crate) fn value(&self, topic: &TopicSpec, schema: u8, datum: &[u8]) -> Vec<u8> {
        match self.ids.get(topic.name).and_then(|ids| ids.get(usize::from(schema))) {
            Some(id) => [&[0][..], &id.to_be_bytes(), datum].concat(),
            None => datum.to_vec(),
        }
    }
}

/// Other versions of a schema, as a database or an earlier program may write them: each field may
/// be null, one more field comes first, the fields come in another order.
fn versions(schema: &SchemaFile) -> Vec<String> {
    let whole: Value = serde_json::from_str(schema.text).expect("a schema is JSON");
    let fields = whole["fields"].as_array().expect("a record has fields").clone();
    let with = |fields: Vec<Value>| {
        let mut other = whole.clone();
        other["fields"] = fields.into();
        other.to_string()
    };
    let nullable = |field: &Value| {
        let is_union = field["type"].is_array();
        let mut nullable = field.clone();
        if !is_union {
            nullable["type"] = json!(["null", field["type"]]);
            nullable.as_object_mut().expect("a field is an object").remove("default");
        }
        nullable
    };
    let later = json!({"name": "a_later_field", "type": {"type": "array", "items": "string"}});
    let mut longer = vec![later];
    longer.extend(fields.iter().cloned());
    let mut versions = vec![with(fields.iter().map(nullable).collect()), with(longer)];
    // A named type is defined where it comes first, so the order of fields is not free in every
    // schema.
    let reversed = with(fields.iter().rev().cloned().collect());
    if MemoryRegistry::default().id_of("", &reversed).is_ok() {
        versions.push(reversed);
    }
    versions
}

/// One value on one topic.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let topic = input.one_of(&TOPICS);
    let value = KNOWN.value(topic.spec, input.byte(), input.rest());
    (topic.read)(&KNOWN.codec, &value);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let of_topic = |(number, topic): (usize, &Readable)| {
        let number = u8::try_from(number).expect("there are few topics");
        let values = seeds::values(topic.spec);
        values
            .into_iter()
            .map(move |(schema, datum)| {
                Output::default().byte(number).byte(schema).rest(&datum).done()
            })
            .collect::<Vec<_>>()
    };
    TOPICS.iter().enumerate().flat_map(of_topic).collect()
}

/// Reads a value, and what it is once it was written again.
pub(crate) fn read<K, V>(topic: &'static Topic<K, V>, codec: &Codec, bytes: &[u8]) -> bool
where
    K: Key,
    V: Message + Debug + PartialEq,
{
    let message = match codec.decode(topic, bytes) {
        Ok(message) => message,
        Err(Failure::Poison(cause)) => {
            // It is told in a header of the dead letter.
            assert!(!cause.is_empty(), "poison has a cause");
            return false;
        }
        Err(other) => {
            panic!("a record of a stranger makes {topic} wait: {other}", topic = topic.name())
        }
    };
    match codec.encode(&topic.spec, &message) {
        Ok(again) => {
            let again = codec.decode(topic, &again);
            assert_eq!(again.ok().as_ref(), Some(&message), "on {}", topic.name());
        }
        // In another schema it was shorter.
        Err(Failure::Poison(cause)) => {
            assert!(bytes.len() > VALUE_BYTES_MAX / 8, "{message:?} cannot be written: {cause}");
        }
        Err(other) => panic!("{message:?} cannot be written: {other}"),
    }
    true
}
