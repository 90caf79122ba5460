//! A whole service of its own: reads what meters report, keeps a sum per meter, and writes each new
//! sum, exactly once. `cargo run -p streams-kafka --example meters -- KAFKA REGISTRY`

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use streams::{
    Codec, Failure, MemoryStore, Owns, Processor, Record, Service, Source, Table, Tx, UpTo,
    topic::{Cleanup, PartitionCount, Topic, TopicSpec, Writers, dead_letters},
};
use streams_kafka::{ConsumerSettings, HttpRegistry, ThreadHandle, admin, spawn_processor};
use tokio_util::sync::CancellationToken;

/// What a meter reports.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reading {
    /// Which meter.
    pub meter: String,
    /// What it has counted since the last one.
    pub kwh: i64,
}
/// The sum of a meter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Total {
    /// Which meter.
    pub meter: String,
    /// What it has counted so far.
    pub kwh: i64,
}

streams::avro_record!(
    Reading,
    "meters/Reading.avsc",
    r#"{"type":"record","name":"Reading",
    "fields":[{"name":"meter","type":"string"},{"name":"kwh","type":"long"}]}"#
);
streams::avro_record!(
    Total,
    "meters/Total.avsc",
    r#"{"type":"record","name":"Total",
    "fields":[{"name":"meter","type":"string"},{"name":"kwh","type":"long"}]}"#
);

/// Anyone may report.
pub static READINGS: Topic<String, Reading> =
    Topic::new("meters.readings", "Reading", PartitionCount::Fixed(1));
/// Only we add up.
pub static TOTALS: Topic<String, Total> =
    Topic::new("meters.totals", "Total", PartitionCount::Fixed(1))
        .written_by(Writers::One("meters"))
        .kept(Cleanup::Compact);
static DEAD_LETTERS: TopicSpec = dead_letters("meters.dlq", "meters", PartitionCount::Fixed(1));
static SUMS: Table<i64> = Table::new(1);

/// The service, and the messages that only it may write.
#[derive(Debug)]
pub struct Meters;
impl Service for Meters {
    const NAME: &'static str = "meters";
    const VERSION: &'static str = "1.0.0";
    fn dead_letters() -> &'static TopicSpec {
        &DEAD_LETTERS
    }
}
impl Owns<Total> for Meters {}
impl Owns<Reading> for Meters {}

impl Processor for Meters {
    type Identity = Meters;
    fn inputs(&self) -> Vec<&'static TopicSpec> {
        vec![&READINGS.spec]
    }
    fn outputs(&self) -> Vec<&'static TopicSpec> {
        vec![&TOTALS.spec]
    }
    /// The state is read back from our own output.
    fn sources(&self) -> Vec<Source> {
        vec![Source { topic: &TOTALS.spec, up_to: UpTo::End }]
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Meters>) -> Result<(), Failure> {
        let meter: String = record.key_as()?;
        if record.is_on(&TOTALS) {
            return tx.put(&SUMS, meter.as_bytes(), &tx.decode(&TOTALS, record)?.kwh);
        }
        let reading = tx.decode(&READINGS, record)?;
        let kwh = tx.get(&SUMS, meter.as_bytes())?.unwrap_or(0) + reading.kwh;
        tx.put(&SUMS, meter.as_bytes(), &kwh)?;
        tx.send(&TOTALS, &meter, &Total { meter: meter.clone(), kwh })
    }
}

/// Make the topics, register the schemas, and run until `stop` is cancelled.
pub async fn run(kafka: &str, url: &str, stop: CancellationToken) -> anyhow::Result<ThreadHandle> {
    admin::ensure_topics(kafka, &[&READINGS.spec, &TOTALS.spec, &DEAD_LETTERS], 1).await?;
    let registry = HttpRegistry::new(url, tokio::runtime::Handle::current())?;
    for (topic, schema) in [(&READINGS.spec, Reading::SCHEMA), (&TOTALS.spec, Total::SCHEMA)] {
        registry.register(&topic.subject(schema), schema.text).await?;
    }
    let (settings, codec) =
        (ConsumerSettings::new(kafka, "meters", 0), Codec::new(Arc::new(registry)));
    Ok(spawn_processor(settings, Meters, Box::new(MemoryStore::default()), codec, stop))
}

#[allow(dead_code, reason = "a test runs this file without it")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [kafka, registry] = [1, 2].map(|n| std::env::args().nth(n).expect("KAFKA and REGISTRY"));
    run(&kafka, &registry, CancellationToken::new()).await?.stopped().await
}
