//! [`GlobalTable`]: a whole compacted topic in memory, in every instance.

use super::{
    Outage,
    admin::send_now,
    client::{CALL_TIMEOUT, ReaderContext, TopicNames, reader_config, to_record},
    group::topic_exists,
};
use crate::{Codec, Failure, Record, tx::dead_letter};
use contracts::{
    Service, Timestamp,
    avro::Message,
    topics::{Key, Topic},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The rows of a compacted topic, all partitions, kept up to date by a thread of its own. Reads
/// never wait. Clones share the rows.
pub struct GlobalTable<K, V> {
    rows: Arc<RwLock<HashMap<K, V>>>,
    ready: watch::Receiver<bool>,
}

impl<K, V> Clone for GlobalTable<K, V> {
    fn clone(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), ready: self.ready.clone() }
    }
}

impl<K, V> GlobalTable<K, V>
where
    K: Key + Eq + Hash + Send + Sync + 'static,
    V: Message + Clone,
{
    /// A table that never changes, for tests and the simulation.
    pub fn fixed(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        let rows = Arc::new(RwLock::new(rows.into_iter().collect()));
        Self { rows, ready: watch::channel(true).1 }
    }

    /// Follow `topic` until `stop` is cancelled. A row that cannot be read goes to the dead letters
    /// of `S`, at least once.
    pub fn spawn<S: Service>(
        bootstrap: &str,
        instance: u32,
        topic: &'static Topic<K, V>,
        codec: Codec,
        stop: CancellationToken,
    ) -> Self {
        let rows = Arc::default();
        let (ready_sender, ready) = watch::channel(false);
        let client = format!("{}-{instance}-{}", S::NAME, topic.name());
        let mut follower = Follower {
            bootstrap: bootstrap.to_owned(),
            client,
            topic,
            codec,
            rows: Arc::clone(&rows),
            ready: ready_sender,
        };
        let thread = std::thread::Builder::new().name(topic.name().to_owned());
        let spawned = thread.spawn(move || {
            let mut outage = Outage::new(follower.client.clone(), None);
            while !stop.is_cancelled() {
                if let Err(error) = follower.follow::<S>(&stop, &mut outage) {
                    outage.wait(&format!("{error:#}"), &stop);
                }
            }
        });
        spawned.expect("the operating system gives a thread");
        Self { rows, ready }
    }

    /// The row of `key`.
    pub fn get(&self, key: &K) -> Option<V> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether the topic has been read to its end once.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Wait until the topic has been read to its end once.
    pub async fn ready(&self) {
        // The sender is dropped only when the process ends.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }
}

struct Follower<K: 'static, V: 'static> {
    bootstrap: String,
    client: String,
    topic: &'static Topic<K, V>,
    codec: Codec,
    rows: Arc<RwLock<HashMap<K, V>>>,
    ready: watch::Sender<bool>,
}

impl<K: Key + Eq + Hash, V: Message> Follower<K, V> {
    fn follow<S: Service>(
        &mut self,
        stop: &CancellationToken,
        outage: &mut Outage,
    ) -> anyhow::Result<()> {
        let mut config = reader_config(&self.bootstrap, &self.client);
        config.set("enable.partition.eof", "true");
        let consumer: BaseConsumer<ReaderContext> =
            config.create_with_context(ReaderContext::default())?;
        let name = self.topic.name();
        let partitions = i32::try_from(topic_exists(&consumer, name)?)?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(name, partition, Offset::Beginning)?;
        }
        // Below these offsets a bad row has been dead-lettered before.
        let mut settled = BTreeMap::new();
        for element in consumer.committed_offsets(assignment.clone(), CALL_TIMEOUT)?.elements() {
            if let Offset::Offset(offset) = element.offset() {
                settled.insert(element.partition(), offset);
            }
        }
        consumer.assign(&assignment)?;
        outage.over();
        let (mut names, mut unread) = (TopicNames::default(), (0..partitions).collect());
        while !stop.is_cancelled() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = to_record(&message, &mut names);
                    self.take::<S>(&consumer, record, &mut settled, stop, outage)?;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.reached_end(&mut unread, partition);
                }
                Some(Err(error)) => debug!("{name}: {error}"),
                None => {}
            }
        }
        Ok(())
    }

    fn reached_end(&self, unread: &mut HashSet<i32>, partition: i32) {
        if unread.remove(&partition) && unread.is_empty() && !*self.ready.borrow() {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner).len();
            info!(topic = self.topic.name(), rows, "table read");
            self.ready.send_replace(true);
        }
    }

    fn take<S: Service>(
        &self,
        consumer: &BaseConsumer<ReaderContext>,
        record: Record,
        settled: &mut BTreeMap<i32, i64>,
        stop: &CancellationToken,
        outage: &mut Outage,
    ) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            match self.row(&record) {
                Ok((key, row)) => {
                    let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
                    match row {
                        Some(row) => rows.insert(key, row),
                        None => rows.remove(&key),
                    };
                    return Ok(());
                }
                Err(Failure::Poison(cause)) => {
                    if settled.get(&record.partition).is_none_or(|next| record.offset >= *next) {
                        warn!(record = record.address(), "dead letter: {cause}");
                        self.dead_letter::<S>(&record, &cause)?;
                        let mut offsets = TopicPartitionList::new();
                        let next = Offset::Offset(record.offset + 1);
                        offsets.add_partition_offset(&record.topic, record.partition, next)?;
                        consumer.commit(&offsets, CommitMode::Sync)?;
                        settled.insert(record.partition, record.offset + 1);
                    }
                    return Ok(());
                }
                Err(Failure::Retriable(error) | Failure::Fatal(error)) => {
                    outage.wait(&format!("{error:#}"), stop);
                }
            }
        }
        Ok(())
    }

    fn row(&self, record: &Record) -> Result<(K, Option<V>), Failure> {
        let key = record.key_as::<K>()?;
        let row = record.value.as_deref().map(|value| self.codec.decode(self.topic, value));
        Ok((key, row.transpose()?))
    }

    /// Bad rows are rare: the producer lives as long as it takes to send one.
    fn dead_letter<S: Service>(&self, record: &Record, cause: &str) -> anyhow::Result<()> {
        let letter = dead_letter::<S>(record, cause, Timestamp::from(SystemTime::now()));
        send_now(&self.bootstrap, &self.client, &letter)
    }
}
