//! `docs/asyncapi.yaml` (AsyncAPI 3.1) says what the topic registry and the table of services say.

use crate::{
    assert_fresh,
    choreography::page::{kept, writers},
    short,
};
use contracts::{
    ServiceName,
    topics::{self, TopicSpec},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path};
use streams::{avro::SchemaFile, record::names};

const ABOUT: &str =
    "# `UPDATE_DOCS=1 cargo test -p contracts` generates this file from shared/contracts.\n";
/// Of the Kafka bindings.
const BINDING: &str = "0.5.0";

/// A pointer into this document, with the characters escaped that RFC 6901 escapes.
fn pointer(parts: &[&str]) -> Value {
    let parts: Vec<_> = parts.iter().map(|p| p.replace('~', "~0").replace('/', "~1")).collect();
    json!({ "$ref": format!("#/{}", parts.join("/")) })
}

fn object(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(pairs.into_iter().collect::<Map<_, _>>())
}

fn document() -> Value {
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Murmuration: a shop without a conductor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every topic of the shop, with its records, its one writer per \
                transition, and its readers. docs/choreography.md tells the same as a story.",
        },
        "defaultContentType": "application/vnd.confluent.avro",
        "servers": { "local": {
            "host": "127.0.0.1:9092",
            "protocol": "kafka",
            "bindings": { "kafka": {
                "schemaRegistryUrl": "http://127.0.0.1:8085/apis/ccompat/v7",
                "schemaRegistryVendor": "apicurio",
                "bindingVersion": BINDING,
            } },
        } },
        "channels": object(facts().map(|topic| (topic.name.to_owned(), channel(topic)))),
        "operations": object(ServiceName::ALL.into_iter().flat_map(operations)),
        "components": {
            "messages": object(messages().into_iter().map(|(name, (file, topics))| {
                (name, message(file, &topics))
            })),
            "messageTraits": { "fact": {
                "description": "CloudEvents' Kafka binding, binary mode, and where the fact came \
                    from.",
                "headers": headers(),
            } },
        },
    })
}

/// What services tell each other: the dead letters carry what could not be read.
fn facts() -> impl Iterator<Item = &'static TopicSpec> {
    topics::ALL.into_iter().filter(|topic| !(topic.schemas)().is_empty())
}

fn channel(topic: &TopicSpec) -> Value {
    let records = (topic.schemas)().iter().map(|schema| short(schema).to_owned());
    let messages = records.map(|name| {
        let message = pointer(&["components", "messages", &name]);
        (name, message)
    });
    let config = topic.config().into_iter().map(|(name, value)| {
        let value = match (name, value.parse::<i64>()) {
            ("cleanup.policy", _) => json!([value]),
            (_, Ok(number)) => json!(number),
            (_, Err(_)) => json!(value),
        };
        (name.to_owned(), value)
    });
    json!({
        "address": topic.name,
        "description": format!(
            "Key: {}. Value: {}. Written by: {}. Kept: {}.",
            topic.key, topic.value, writers(topic), kept(topic.cleanup)
        ),
        "messages": object(messages),
        "bindings": { "kafka": {
            "topic": topic.name,
            "partitions": topic.partitions(),
            "topicConfiguration": object(config),
            "bindingVersion": BINDING,
        } },
    })
}

fn operations(service: ServiceName) -> Vec<(String, Value)> {
    let spec = service.spec();
    let read: BTreeMap<&str, &TopicSpec> = spec.reads().map(|topic| (topic.name, topic)).collect();
    let sent =
        spec.flows().flat_map(|flow| flow.to.iter().copied()).chain(spec.edge.iter().copied());
    let sent: BTreeMap<&str, &TopicSpec> = sent.map(|topic| (topic.name, topic)).collect();
    let of = |action: &'static str, topics: BTreeMap<&'static str, &'static TopicSpec>| {
        let known = topics.into_values().filter(|topic| !(topic.schemas)().is_empty());
        let operation = move |topic: &TopicSpec| {
            let body = json!({
                "action": action,
                "channel": pointer(&["channels", topic.name]),
                "tags": [{ "name": service.as_str() }],
            });
            (format!("{service}.{action}.{}", topic.name), body)
        };
        known.map(operation).collect::<Vec<_>>()
    };
    [of("receive", read), of("send", sent)].concat()
}

/// Every record type, with the topics that it is on.
fn messages() -> BTreeMap<String, (&'static SchemaFile, Vec<&'static TopicSpec>)> {
    let mut messages = BTreeMap::new();
    for topic in facts() {
        for schema in (topic.schemas)() {
            let known = messages.entry(short(schema).to_owned());
            known.or_insert((*schema, Vec::new())).1.push(topic);
        }
    }
    messages
}

fn message(file: &SchemaFile, topics: &[&TopicSpec]) -> Value {
    // What Debezium writes has no such headers.
    let is_fact = topics.iter().any(|topic| topic.registers_schemas());
    let mut message = json!({
        "name": file.name(),
        "payload": {
            "schemaFormat": "application/vnd.apache.avro;version=1.9.0",
            "schema": { "$ref": format!("../schemas/{}", file.path) },
        },
        "bindings": { "kafka": {
            "key": { "type": "string", "description": topics[0].key },
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "bindingVersion": BINDING,
        } },
    });
    if is_fact {
        message["traits"] = json!([pointer(&["components", "messageTraits", "fact"])]);
    }
    message
}

fn headers() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({ "type": "object", "properties": {
        names::SPEC_VERSION: text("1.0"),
        names::ID: text("the fact's own id"),
        names::SOURCE: text("the service that wrote it"),
        names::TYPE: text("the transition, command or record type"),
        names::TIME: text("RFC 3339, by the log's clock"),
        names::SUBJECT: text("the key"),
        names::TRACEPARENT: text("W3C Trace Context"),
        names::CORRELATION_ID: text("the same for all that follows from one request"),
        names::CAUSATION_ID: text("topic/partition/offset of the record that caused it"),
        names::CALLER_ID: text("who has asked at the edge, such as customer:ada, if the shop asks"),
        names::LINEAGE: text("the services that it has passed through, with their versions"),
    } })
}

#[test]
fn the_asyncapi_document_is_fresh() {
    let text = serde_yaml_ng::to_string(&document()).expect("it is plain data");
    assert_fresh("docs/asyncapi.yaml", &format!("{ABOUT}{text}"));
}

#[test]
fn every_pointer_of_the_document_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(pointer)) = fields.get("$ref") {
                    found.push(pointer);
                }
                fields.values().for_each(|field| walk(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut pointers = Vec::new();
    walk(&document, &mut pointers);
    assert!(pointers.len() > 50, "{}", pointers.len());
    for pointer in pointers {
        let is_there = match pointer.strip_prefix('#') {
            Some(inside) => document.pointer(inside).is_some(),
            None => {
                let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
                docs.join(pointer).is_file()
            }
        };
        assert!(is_there, "{pointer}");
    }
}
