//! [`Tracer`]: spans of what is done with records, if anyone collects them.
//!
//! Off, as in tests and in the simulation, nothing is opened, and a `traceparent` is handed on from
//! record to record as it came. On, each record that is handled has a span (`process`) whose parent
//! is what its header says, each record that is sent has one (`send`, or `create` if a relay sends
//! it later) that its own header says, and each batch has one (`batch`) in a trace of its own, with
//! a link to each of its records. So a trace is one story, through all services.
//!
//! The names are those of OpenTelemetry's semantic conventions for messaging, which are still in
//! development: [`SCHEMA_URL`] says of which version. This crate only names spans; a service
//! installs what collects them.

pub mod names;
mod spans;

pub use names::SCHEMA_URL;
pub use spans::Spans;

use crate::record::{Headers, Record, names as headers};
use names as attribute;
use std::{fmt, sync::OnceLock};

static TRACER: OnceLock<Box<dyn Tracer>> = OnceLock::new();

/// Opens spans.
pub trait Tracer: Send + Sync {
    /// Open a span. It ends when it is dropped.
    fn open(&self, new: New<'_>) -> Box<dyn Span>;
}

/// An open span. It ends when it is dropped.
pub trait Span: Send + Sync + fmt::Debug {
    /// What makes others part of the same trace (W3C Trace Context).
    fn traceparent(&self) -> String;

    /// Say more.
    fn set(&mut self, name: &'static str, value: Value);

    /// What it stands for has failed.
    fn fail(&mut self, cause: &str);
}

/// On which side of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks another system and waits for the answer.
    Client,
    /// It handles a message.
    Consumer,
    /// It makes a message.
    Producer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Names and values.
pub type Attributes = Vec<(&'static str, Value)>;

/// A span that is related, but not the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which span.
    pub traceparent: String,
    /// What it is to us.
    pub attributes: Attributes,
}

/// A span to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New<'a> {
    /// Its name: few of them.
    pub name: String,
    /// On which side it is.
    pub kind: Kind,
    /// The `traceparent` that it follows from; none begins a trace.
    pub parent: Option<&'a str>,
    /// What is known at its beginning.
    pub attributes: Attributes,
    /// Others.
    pub links: Vec<Link>,
}

/// Open spans with `tracer` from now on, in the whole process; false if there is one already.
pub fn install(tracer: Box<dyn Tracer>) -> bool {
    TRACER.set(tracer).is_ok()
}

/// What opens spans; none if no one collects them.
pub(crate) fn installed() -> Option<&'static dyn Tracer> {
    TRACER.get().map(AsRef::as_ref)
}

/// Open the span of a call to another system that goes on with the trace `parent`.
pub fn call(parent: Option<&str>, name: &str, attributes: Attributes) -> Option<Box<dyn Span>> {
    let name = name.to_owned();
    let new = New { name, kind: Kind::Client, parent, attributes, links: Vec::new() };
    Some(installed()?.open(new))
}

/// Open the span in which a record for `partition` of `topic` is sent. Its `headers` say so.
pub fn send(topic: &str, partition: i32, headers: &mut Headers) -> Option<Box<dyn Span>> {
    made(installed()?, "send", (topic, partition), headers)
}

/// Open the span in which a record is made that a relay will send. Its `headers` say so.
pub fn create(topic: &str, partition: i32, headers: &mut Headers) -> Option<Box<dyn Span>> {
    made(installed()?, "create", (topic, partition), headers)
}

fn made(
    tracer: &dyn Tracer,
    operation: &str,
    (topic, partition): (&str, i32),
    headers: &mut Headers,
) -> Option<Box<dyn Span>> {
    let mut attributes = operated(operation, operation, Some(topic));
    attributes.push((attribute::PARTITION_ID, partition.to_string().into()));
    attributes.extend(told(headers));
    let parent = headers.get(headers::TRACEPARENT);
    let name = format!("{operation} {topic}");
    let new = New { name, kind: Kind::Producer, parent, attributes, links: Vec::new() };
    let span = tracer.open(new);
    carry(span.as_ref(), headers);
    Some(span)
}

/// What has these `headers` is part of the trace of `span`, and follows from it.
fn carry(span: &dyn Span, headers: &mut Headers) {
    headers.0.retain(|(name, _)| name != headers::TRACEPARENT);
    headers.push(headers::TRACEPARENT, span.traceparent());
}

/// The span in which a member of `group` handles `record`, linked to that of its batch.
fn processed<'a>(group: &str, record: &'a Record, batch: Option<String>) -> New<'a> {
    let mut attributes = operated("process", "process", Some(&record.topic));
    attributes.push((attribute::GROUP_NAME, group.into()));
    attributes.extend(placed(record));
    attributes.extend(told(&record.headers));
    let links = batch.map(|traceparent| Link { traceparent, attributes: Vec::new() });
    New {
        name: format!("process {}", record.topic),
        kind: Kind::Consumer,
        parent: record.headers.get(headers::TRACEPARENT),
        attributes,
        links: links.into_iter().collect(),
    }
}

/// The span in which a member of `group` handles all `records`. The links have what differs.
fn batched(group: &str, records: &[Record]) -> New<'static> {
    let topic = records.first().map(|record| &*record.topic);
    let topic = topic.filter(|topic| records.iter().all(|record| &*record.topic == *topic));
    let mut attributes = operated("batch", "process", topic);
    attributes.push((attribute::GROUP_NAME, group.into()));
    let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
    attributes.push((attribute::BATCH_COUNT, count.into()));
    let link = |record: &Record| {
        let traceparent = record.headers.get(headers::TRACEPARENT)?.to_owned();
        let mut attributes = vec![(attribute::DESTINATION, Value::from(&*record.topic))];
        attributes.extend(placed(record));
        attributes.extend(told(&record.headers));
        Some(Link { traceparent, attributes })
    };
    New {
        name: topic.map_or_else(|| "batch".to_owned(), |topic| format!("batch {topic}")),
        kind: Kind::Consumer,
        parent: None,
        attributes,
        links: records.iter().filter_map(link).collect(),
    }
}

fn operated(operation: &str, kind: &str, topic: Option<&str>) -> Attributes {
    let mut attributes: Attributes = vec![
        (attribute::SYSTEM, "kafka".into()),
        (attribute::OPERATION_NAME, operation.into()),
        (attribute::OPERATION_TYPE, kind.into()),
    ];
    attributes.extend(topic.map(|topic| (attribute::DESTINATION, topic.into())));
    attributes
}

/// Where `record` stands.
fn placed(record: &Record) -> Attributes {
    let mut attributes: Attributes = vec![
        (attribute::PARTITION_ID, record.partition.to_string().into()),
        (attribute::OFFSET, record.offset.into()),
    ];
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    attributes.extend(key.map(|key| (attribute::KEY, key.into())));
    attributes
}

/// What a record says of itself: its id, and whose story it is part of.
fn told(headers: &Headers) -> Attributes {
    let header = |attribute, name| Some((attribute, headers.get(name)?.into()));
    let id = header(attribute::MESSAGE_ID, headers::ID);
    let story = header(attribute::CONVERSATION_ID, headers::CORRELATION_ID);
    id.into_iter().chain(story).collect()
}

#[cfg(test)]
mod tests;
