//! Records of strangers through the processors of the services, in the engine and over a store in
//! memory. A record is handled, or becomes a dead letter: nothing else may come of it.

use crate::{
    codec::{KNOWN, TOPICS},
    headers,
    input::{Input, Output},
    mail, seeds,
};
use contracts::{OrderId, partition, services::SERVICES};
use email::{DeliveryError, EmailProcessor, Mailer, domain::mail::Mail};
use fraud::{domain::exposure, processor::CheckProcessor};
use inventory::{SplitProcessor, StockProcessor};
use orders::{catalog::Catalog, domain::place_order::Terms, processor::OrdersProcessor};
use std::{collections::BTreeMap, time::Duration};
use streams::{MemoryStore, Outgoing, Processor, Record, record::names, topic::TopicSpec};
use testkit::Driver;
use view::{
    batch::{Batch, Outcome},
    domain::history::{History, evolve},
    freshness::Freshness,
    processor::ViewProcessor,
    repository::{Repository, Unwritten},
};

/// Most records of an input: more would say nothing new.
const RECORDS_MAX: usize = 8;

/// How far the clock goes on in the end: beyond every deadline.
const LATER: Duration = Duration::from_secs(120);

/// The processors, by the byte that chooses one.
const PROCESSORS: [fn(&mut Input<'_>); 7] = [
    |input| drive(OrdersProcessor::new(catalog(), terms()), input),
    |input| drive(SplitProcessor, input),
    |input| drive(StockProcessor, input),
    |input| drive(ViewProcessor::new(Rows::default(), Freshness::default()), input),
    |input| drive(EmailProcessor::new(Post), input),
    |input| drive(fraud::processor::SplitProcessor, input),
    |input| drive(CheckProcessor::new(limit()), input),
];

/// What each of [`PROCESSORS`] reads.
fn inputs() -> [Vec<&'static TopicSpec>; 7] {
    [
        OrdersProcessor::new(catalog(), terms()).inputs(),
        SplitProcessor.inputs(),
        StockProcessor.inputs(),
        ViewProcessor::new(Rows::default(), Freshness::default()).inputs(),
        EmailProcessor::new(Post).inputs(),
        fraud::processor::SplitProcessor.inputs(),
        CheckProcessor::new(limit()).inputs(),
    ]
}

fn catalog() -> Catalog {
    Catalog::fixed([seeds::product()], [seeds::customer()])
}

fn terms() -> Terms {
    Terms { deadline: Duration::from_secs(60), extra_checks: vec![] }
}

fn limit() -> exposure::Terms {
    exposure::Terms { limit_minor: 2_000, window: Duration::from_secs(3600) }
}

/// Records into one of the processors.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    input.one_of(&PROCESSORS)(&mut input);
}

fn drive<P: Processor>(processor: P, input: &mut Input<'_>) {
    let topics = processor.inputs();
    let mut driver = Driver::over(processor, MemoryStore::default(), KNOWN.codec.clone());
    driver.at(seeds::NOW);
    for offset in 0..RECORDS_MAX {
        if input.is_empty() {
            break;
        }
        let record = record(&topics, offset, input);
        // It comes again after a crash.
        for _ in 0..2 {
            let fed = driver.feed_record(&record);
            fed.sent.iter().for_each(is_read);
        }
    }
    driver.at(seeds::NOW + LATER);
    driver.tick().iter().for_each(is_read);
}

/// A record on one of `topics`.
pub(crate) fn record(
    topics: &[&'static TopicSpec],
    offset: usize,
    input: &mut Input<'_>,
) -> Record {
    let topic = *input.one_of(topics);
    let partition = i32::from(input.byte()) % partition::count();
    let (key, headers) = (input.short(), headers::read(input));
    let schema = input.byte();
    let datum = input.long();
    Record {
        topic: topic.name.into(),
        partition,
        offset: offset as i64,
        timestamp_ms: seeds::NOW.millis(),
        key: (!key.is_empty()).then(|| key.to_vec()),
        // A tombstone.
        value: (schema != u8::MAX).then(|| KNOWN.value(topic, schema, datum)),
        headers,
    }
}

/// What is sent because of a record must be read by all who read its topic.
fn is_read(sent: &Outgoing) {
    let Some(topic) = TOPICS.iter().find(|topic| topic.spec.name == sent.topic) else { return };
    let Some(value) = &sent.value else { return };
    assert!((topic.read)(&KNOWN.codec, value), "what is sent to {} cannot be read", sent.topic);
    let writer = sent.headers.source();
    assert!(writer.is_some(), "what is sent to {} has no writer", sent.topic);
}

/// A mail server that takes every mail, if it is one.
struct Post;

impl Mailer for Post {
    fn deliver(&mut self, mail: &Mail) -> Result<(), DeliveryError> {
        mail::write(mail)
    }
}

/// What the view knows of orders.
#[derive(Default)]
struct Rows(BTreeMap<OrderId, History>);

impl Repository for Rows {
    fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
        let of = |order: OrderId| Some((order, self.0.get(&order)?.clone()));
        let decisions = batch.judge(batch.order_ids().into_iter().filter_map(of).collect());
        for (transition, decision) in batch.transitions().zip(&decisions) {
            let history = self.0.entry(transition.order.order_id).or_default();
            *history = evolve(std::mem::take(history), decision);
        }
        // What the tables are written from.
        let _ = (batch.refusals(), batch.products(), batch.customers(), batch.stock());
        Ok(batch.outcomes(decisions))
    }
}

/// Per processor: each good message of each topic alone, and all of them one after the other.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for (processor, topics) in (0..).zip(inputs()) {
        let begin = || Output::default().byte(processor);
        for (index, topic) in (0..).zip(&topics) {
            let values = seeds::values(topic);
            let each = values.iter().map(|value| written(begin(), index, topic, value).done());
            made.extend(each);
            let all = values.iter();
            made.push(all.fold(begin(), |out, value| written(out, index, topic, value)).done());
        }
    }
    made
}

/// What [`record`] takes apart: a good value with its key, and headers of its writer.
pub(crate) fn written(
    output: Output,
    index: u8,
    topic: &TopicSpec,
    (schema, datum): &(u8, Vec<u8>),
) -> Output {
    let key = key_of(topic);
    let writers = SERVICES.iter().map(|row| row.name.as_str());
    let writer = writers.into_iter().find(|writer| topic.writers.includes(writer));
    let headers = [(names::SOURCE, writer.unwrap_or("orders")), (names::TYPE, "OrderRequested")];
    let output = output.byte(index).byte(0).short(key.as_bytes());
    headers::written(output, &headers).byte(*schema).long(datum)
}

/// The key of the good values on a topic.
fn key_of(topic: &TopicSpec) -> String {
    match topic.key {
        "sku" => "TEA".to_owned(),
        "sku/id" => format!("TEA/{}", seeds::order_id()),
        "customer id" => "ada".to_owned(),
        _ => seeds::order_id().to_string(),
    }
}
