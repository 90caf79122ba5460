use super::*;
use crate::lineage::Cause;
use std::sync::{Arc, Mutex};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps what is opened; the nth span is the nth here.
#[derive(Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Debug, Clone)]
struct Note {
    name: String,
    kind: Kind,
    parent: Option<String>,
    attributes: Attributes,
    links: Vec<Link>,
    failed: Option<String>,
}

#[derive(Debug)]
struct Noted(Arc<Mutex<Vec<Note>>>, usize);

fn traceparent(span: usize) -> String {
    format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-01", span + 1)
}

impl Tracer for Notes {
    fn open(&self, new: New<'_>) -> Box<dyn Span> {
        let New { name, kind, parent, attributes, links } = new;
        let parent = parent.map(str::to_owned);
        let mut notes = self.0.lock().unwrap();
        notes.push(Note { name, kind, parent, attributes, links, failed: None });
        Box::new(Noted(Arc::clone(&self.0), notes.len() - 1))
    }
}

impl Span for Noted {
    fn traceparent(&self) -> String {
        traceparent(self.1)
    }

    fn set(&mut self, name: &'static str, value: Value) {
        self.0.lock().unwrap()[self.1].attributes.push((name, value));
    }

    fn fail(&mut self, cause: &str) {
        self.0.lock().unwrap()[self.1].failed = Some(cause.to_owned());
    }
}

impl Note {
    fn says(&self) -> Vec<String> {
        said(&self.attributes)
    }
}

fn said(attributes: &Attributes) -> Vec<String> {
    let say = |(name, value): &(&str, Value)| match value {
        Value::Text(text) => format!("{name}={text}"),
        Value::Number(number) => format!("{name}={number}"),
    };
    attributes.iter().map(say).collect()
}

fn notes() -> (&'static Notes, impl Fn() -> Vec<Note>) {
    let notes: &'static Notes = Box::leak(Box::default());
    (notes, || notes.0.lock().unwrap().clone())
}

fn record(topic: &str, offset: i64, parent: Option<&str>) -> Record {
    let mut headers = Headers::default();
    headers.push(headers::ID, format!("id-{offset}"));
    headers.push(headers::CORRELATION_ID, "m-1");
    if let Some(parent) = parent {
        headers.push(headers::TRACEPARENT, parent);
    }
    let (topic, key) = (topic.into(), Some(b"m-1".to_vec()));
    Record { topic, partition: 2, offset, timestamp_ms: 1, key, value: None, headers }
}

#[test]
fn a_record_is_handled_in_a_child_of_the_span_that_sent_it() {
    let (tracer, opened) = notes();
    let record = record("sums", 7, Some(CALLER));
    let mut spans = Spans::with(tracer, "adder", std::slice::from_ref(&record));
    let cause = spans.process(&record);
    assert_eq!(cause, spans.process(&record), "a record has one span, however often it is named");
    let [batch, process] = &opened()[..] else { panic!("{:?}", opened()) };

    assert_eq!((batch.name.as_str(), batch.parent.as_deref()), ("batch sums", None));
    assert_eq!(
        batch.says(),
        [
            "messaging.system=kafka",
            "messaging.operation.name=batch",
            "messaging.operation.type=process",
            "messaging.destination.name=sums",
            "messaging.consumer.group.name=adder",
            "messaging.batch.message_count=1",
        ]
    );
    assert_eq!(batch.links[0].traceparent, CALLER);
    assert_eq!(
        said(&batch.links[0].attributes),
        [
            "messaging.destination.name=sums",
            "messaging.destination.partition.id=2",
            "messaging.kafka.offset=7",
            "messaging.kafka.message.key=m-1",
            "messaging.message.id=id-7",
            "messaging.message.conversation_id=m-1",
        ]
    );

    assert_eq!((process.name.as_str(), process.kind), ("process sums", Kind::Consumer));
    assert_eq!(process.parent.as_deref(), Some(CALLER));
    assert_eq!(process.links[0].traceparent, traceparent(0));
    assert_eq!(
        process.says(),
        [
            "messaging.system=kafka",
            "messaging.operation.name=process",
            "messaging.operation.type=process",
            "messaging.destination.name=sums",
            "messaging.consumer.group.name=adder",
            "messaging.destination.partition.id=2",
            "messaging.kafka.offset=7",
            "messaging.kafka.message.key=m-1",
            "messaging.message.id=id-7",
            "messaging.message.conversation_id=m-1",
        ]
    );
    assert_eq!(cause.traceparent, Some(traceparent(1)));
}

#[test]
fn what_is_sent_says_its_own_span() {
    let (tracer, opened) = notes();
    let record = record("sums", 7, Some(CALLER));
    let mut spans = Spans::with(tracer, "adder", std::slice::from_ref(&record));
    let mut headers = Headers::default();
    headers.push(headers::TRACEPARENT, spans.process(&record).traceparent.unwrap());
    spans.send("totals", 1, &mut headers);
    let send = opened().pop().unwrap();
    assert_eq!((send.name.as_str(), send.kind), ("send totals", Kind::Producer));
    assert_eq!(send.parent, Some(traceparent(1)));
    assert_eq!(headers.get(headers::TRACEPARENT), Some(&*traceparent(2)));
    assert_eq!(headers.0.len(), 1, "{headers:?}");
    let mut copied = record.headers.clone();
    spans.follow(&record, &mut copied);
    assert_eq!(copied.get(headers::TRACEPARENT), Some(&*traceparent(1)));
}

#[test]
fn what_is_given_up_says_why() {
    let (tracer, opened) = notes();
    let records = [record("sums", 7, Some(CALLER)), record("counts", 8, None)];
    let mut spans = Spans::with(tracer, "adder", &records);
    records.iter().for_each(|record| drop(spans.process(record)));
    spans.fail(&records[1], "garbage");
    let failed = |n: usize| opened()[n].failed.clone();
    assert_eq!((failed(1), failed(2)), (None, Some("garbage".to_owned())));
    spans.fail_all("fenced");
    assert!((0..3).all(|n| failed(n).as_deref() == Some("fenced")));
    // Of two topics: it has the name of none, and links to those that have a trace.
    assert_eq!((opened()[0].name.as_str(), opened()[0].links.len()), ("batch", 1));
    assert_eq!(opened()[2].parent, None);
}

#[test]
fn without_a_tracer_a_trace_goes_on_as_it_came() {
    let record = record("sums", 7, Some(CALLER));
    let mut spans = Spans::of_batch("adder", std::slice::from_ref(&record));
    assert_eq!(spans.process(&record), Cause::of(&record));
    let mut headers = record.headers.clone();
    assert!(send("totals", 1, &mut headers).is_none());
    assert_eq!(headers.get(headers::TRACEPARENT), Some(CALLER));
    assert!(call(Some(CALLER), "POST /charges", Vec::new()).is_none());
}
