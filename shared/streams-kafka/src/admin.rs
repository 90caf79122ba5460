//! Creating the topics of the registry, and putting single records on them.

use crate::{
    access::Asking,
    client::{ReaderContext, WriterContext, producer_config, reader_config, to_message},
    partitions::Partitions,
    polled::Polled,
};
use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
        OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
    },
    consumer::BaseConsumer,
    error::RDKafkaErrorCode,
};
use std::{collections::HashMap, time::Duration};
use streams::{
    Headers, Outgoing,
    limits::CALL_TIMEOUT,
    partition::partition_for,
    topic::{PASSED_BY, TopicSpec},
};
use tracing::debug;

/// A Kafka that has just begun may take long for its first answers.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Create the `topics` that are not there, and the runtime's own ([`PASSED_BY`]), with
/// `replication` copies; those that are there get the settings of [`TopicSpec::common`]. Gives how
/// many were made; running it again is harmless.
///
/// # Errors
/// When Kafka is away or refuses, when the topics were made with another number of partitions than
/// the setting says, or when one is there with fewer than its contract says, so that some keys have
/// no place.
pub async fn ensure_topics(
    bootstrap: &str,
    topics: &[&'static TopicSpec],
    replication: i32,
) -> anyhow::Result<usize> {
    let topics = &[topics, &[&PASSED_BY]].concat()[..];
    let admin = admin(bootstrap, "topics")?;
    let consumer: BaseConsumer<ReaderContext> =
        reader_config(bootstrap, "topics")?.create_with_context(ReaderContext::default())?;
    // Before one is made: it would have the number of a setting that may be wrong.
    Partitions::of_those_there(&consumer, topics, TIMEOUT)?.agree()?;
    let configs: Vec<_> = topics.iter().map(|topic| topic.config()).collect();
    let wanted: Vec<_> = topics
        .iter()
        .zip(&configs)
        .map(|(topic, config)| {
            let replication = TopicReplication::Fixed(replication);
            let new = NewTopic::new(topic.name, topic.partitions(), replication);
            config.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let options = options();
    let results =
        admin.create_topics(&wanted, &options).await.context("Kafka creates no topics")?;
    let (mut made, mut present) = (0, Vec::new());
    for result in results {
        match result {
            Ok(_) => made += 1,
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => present.push(topic),
            Err((topic, code)) => bail!("Kafka does not create `{topic}`: {code}"),
        }
    }
    renew(&admin, &present, &options).await.context("Kafka does not set the topics")?;
    check_partitions(&consumer, topics)?;
    Ok(made)
}

/// Whether those of `topics` that there are were made with as many partitions as this process takes
/// them to have. Blocks.
///
/// # Errors
/// When they were not, with both numbers and the way out, and when Kafka is away.
pub fn check_count(bootstrap: &str, topics: &[&'static TopicSpec]) -> anyhow::Result<()> {
    let consumer: BaseConsumer<ReaderContext> =
        reader_config(bootstrap, "topics")?.create_with_context(ReaderContext::default())?;
    Ok(Partitions::of_those_there(&consumer, topics, CALL_TIMEOUT)?.agree()?)
}

/// Give `topics` that were made by an older version the settings of today. What else was set for
/// them stays.
async fn renew(
    admin: &AdminClient<Asking>,
    topics: &[String],
    options: &AdminOptions,
) -> anyhow::Result<()> {
    if topics.is_empty() {
        // Asking about nothing is an invalid argument.
        return Ok(());
    }
    let common = TopicSpec::common();
    let wanted: Vec<_> = topics.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    for described in admin.describe_configs(&wanted, options).await? {
        let resource = described.map_err(|code| anyhow::anyhow!("{code}"))?;
        let own =
            resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
        let now: HashMap<&str, &str> = own.collect();
        if common.iter().all(|(name, value)| now.get(name) == Some(&&**value)) {
            continue;
        }
        let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
        let mut entries = now;
        entries.extend(common.iter().map(|(name, value)| (*name, &**value)));
        let altered = AlterConfig { specifier: ResourceSpecifier::Topic(name), entries };
        for altered in admin.alter_configs(&[altered], options).await? {
            altered.map_err(|(_, code)| anyhow::anyhow!("`{name}`: {code}"))?;
        }
    }
    Ok(())
}

/// Give `topic` as many partitions as `count` says, as an operator could: for tests. Kafka adds
/// some, and takes none away.
///
/// # Errors
/// When Kafka is away or refuses.
pub async fn add_partitions(bootstrap: &str, topic: &str, count: usize) -> anyhow::Result<()> {
    let admin = admin(bootstrap, "topics")?;
    let more = NewPartitions::new(topic, count);
    for result in admin.create_partitions([&more], &options()).await? {
        result.map_err(|(topic, code)| anyhow::anyhow!("`{topic}`: {code}"))?;
    }
    Ok(())
}

fn admin(bootstrap: &str, client: &str) -> anyhow::Result<AdminClient<Asking>> {
    Ok(reader_config(bootstrap, client)?.create_with_context(Asking::default())?)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT))
}

/// Put raw bytes on a topic under `key`, as an operator with a console would: for tests and for
/// trying out the dead letters. Blocks.
///
/// # Errors
/// When Kafka is away.
pub fn produce_raw(
    bootstrap: &str,
    topic: &'static TopicSpec,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    produce(bootstrap, &raw(topic, key, value))
}

/// The same for a whole record: with or without a key and a value, with any headers. Blocks.
///
/// # Errors
/// When Kafka is away, or does not take it.
pub fn produce(bootstrap: &str, record: &Outgoing) -> anyhow::Result<()> {
    send_now(bootstrap, "console", record)
}

/// The same on a partition of choice, as a producer with another partitioner would. Blocks.
///
/// # Errors
/// When Kafka is away, or has no such partition.
pub fn produce_raw_to(
    bootstrap: &str,
    topic: &'static TopicSpec,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    send_now(bootstrap, "console", &Outgoing { partition, ..raw(topic, key, value) })
}

/// The same as a foreign producer with compression and without our limits would. Blocks.
///
/// # Errors
/// When Kafka is away, or does not take it.
pub fn produce_gzipped(
    bootstrap: &str,
    topic: &'static TopicSpec,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    let mut config = producer_config(bootstrap, "console", None)?;
    config.set("compression.type", "gzip").set("message.max.bytes", "1000000000");
    send_with(&config, &[raw(topic, key, value)])
}

/// Delete every record that is on `topic` now (KIP-107), as an operator with `kafka-delete-records`
/// would: for tests. Kafka refuses it where a topic is compacted.
///
/// # Errors
/// When Kafka is away or refuses.
pub async fn delete_records(bootstrap: &str, topic: &TopicSpec) -> anyhow::Result<()> {
    let admin = admin(bootstrap, "console")?;
    let mut ends = TopicPartitionList::new();
    for partition in 0..topic.partitions() {
        ends.add_partition_offset(topic.name, partition, Offset::End)?;
    }
    let deleted = admin.delete_records(&ends, &options()).await?;
    for element in deleted.elements() {
        element.error().with_context(|| format!("{} keeps its records", topic.name))?;
    }
    Ok(())
}

/// Put a tombstone for each of `keys` on `topic`, and wait until Kafka has them all. Blocks.
///
/// # Errors
/// When Kafka is away, or does not take one; those before are there then.
pub fn delete_keys(
    bootstrap: &str,
    topic: &'static TopicSpec,
    keys: &[String],
) -> anyhow::Result<()> {
    let tombstone = |key: &String| Outgoing { value: None, ..raw(topic, key.as_bytes(), &[]) };
    let tombstones: Vec<_> = keys.iter().map(tombstone).collect();
    send_all(bootstrap, "console", &tombstones)
}

fn raw(topic: &'static TopicSpec, key: &[u8], value: &[u8]) -> Outgoing {
    let (topic, partition) = (topic.name, partition_for(key, topic.partitions()));
    let (key, value, headers) = (Some(key.to_vec()), Some(value.to_vec()), Headers::default());
    Outgoing { topic, partition, key, value, headers }
}

/// Send one record with a producer of its own, and wait for it.
pub(crate) fn send_now(bootstrap: &str, client: &str, record: &Outgoing) -> anyhow::Result<()> {
    send_all(bootstrap, client, std::slice::from_ref(record))
}

/// Send `records` with one producer, in their order on each partition, and wait for them: a
/// connection with TLS and a login takes longer than many records.
pub(crate) fn send_all(bootstrap: &str, client: &str, records: &[Outgoing]) -> anyhow::Result<()> {
    send_with(&producer_config(bootstrap, client, None)?, records)
}

fn send_with(config: &ClientConfig, records: &[Outgoing]) -> anyhow::Result<()> {
    let context = WriterContext::default();
    let producer: Polled<WriterContext> = config.create_with_context(context.clone())?;
    for record in records {
        context.sent();
        producer.send(to_message(record)).map_err(|(error, _)| error)?;
    }
    context.wait().map(drop).map_err(anyhow::Error::msg)
}

fn check_partitions(
    consumer: &BaseConsumer<ReaderContext>,
    topics: &[&'static TopicSpec],
) -> anyhow::Result<()> {
    match Partitions::ask(consumer, topics.iter().copied()) {
        Ok(partitions) => partitions.suffice(),
        // A topic that was made a moment ago may not be in the metadata yet.
        Err(error) => {
            debug!("{error:#}");
            Ok(())
        }
    }
}
