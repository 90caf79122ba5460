//! Following a compacted topic into a [`GlobalTable`].

use crate::{
    Pause, ThreadHandle, ThreadStatus,
    admin::send_now,
    at_work,
    client::{ReaderContext, TopicNames, reader_config, to_record},
    partitions::{LOOK_INTERVAL, Partitions, WrongCount},
    spawn,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    time::{Duration, Instant},
};
use streams::{
    Codec, Failure, GlobalTable, Record, Service, TableWriter, Timestamp,
    avro::Message,
    limits::{CALL_TIMEOUT, CAUSE_BYTES_MAX, clip},
    partition::partition_for,
    topic::{Key, Topic},
    tx::dead_letter,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Follow `topic` on a thread of its own until `stop` is cancelled; its rows are the table's. The
/// thread is at work once it has read the topic to its end. A row that cannot be read goes to the
/// dead letters of `S`, at least once.
pub fn spawn_table<S, K, V>(
    bootstrap: &str,
    instance: u32,
    topic: &'static Topic<K, V>,
    codec: Codec,
    stop: CancellationToken,
) -> (GlobalTable<K, V>, ThreadHandle)
where
    S: Service,
    K: Key + Eq + Hash + Send + Sync + 'static,
    V: Message + Clone,
{
    let (table, writer) = GlobalTable::new();
    let client = format!("{}-{instance}-{}", S::NAME, topic.name());
    let bootstrap = bootstrap.to_owned();
    let thread = spawn(topic.name(), move |status| {
        let mut outage = Pause::new(client.clone(), status.clone());
        let mut follower = Follower {
            bootstrap,
            client,
            topic,
            codec,
            writer,
            status,
            is_read: false,
            partitions: Partitions::default(),
            latest: HashMap::new(),
            unreadable: BTreeMap::new(),
        };
        while !stop.is_cancelled() {
            if let Err(error) = follower.follow::<S>(&stop, &mut outage) {
                if error.is::<WrongCount>() {
                    return Err(error);
                }
                outage.wait(&format!("{error:#}"), &stop);
            }
        }
        Ok(())
    });
    (table, thread)
}

struct Follower<K: 'static, V: 'static> {
    bootstrap: String,
    client: String,
    topic: &'static Topic<K, V>,
    codec: Codec,
    writer: TableWriter<K, V>,
    status: watch::Sender<ThreadStatus>,
    /// To its end, once.
    is_read: bool,
    partitions: Partitions,
    /// The latest record of each key.
    latest: HashMap<Vec<u8>, Latest>,
    /// The keys whose rows cannot be read, and why.
    unreadable: BTreeMap<String, String>,
}

/// The latest record of a key. Within a partition that is the last one. When a topic gets more
/// partitions, a key may move to another one, and its former one keeps a row of it for ever: then
/// the later one counts, and of two at the same time the one where the key belongs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Latest {
    timestamp_ms: i64,
    is_home: bool,
    partition: i32,
}

/// How many rows that cannot be read a remark names.
const NAMED_MAX: usize = 3;

impl<K: Key + Eq + Hash, V: Message> Follower<K, V> {
    fn follow<S: Service>(
        &mut self,
        stop: &CancellationToken,
        outage: &mut Pause,
    ) -> anyhow::Result<()> {
        let mut config = reader_config(&self.bootstrap, &self.client)?;
        config.set("enable.partition.eof", "true");
        let consumer: BaseConsumer<ReaderContext> =
            config.create_with_context(ReaderContext::default())?;
        let name = self.topic.name();
        let heard = consumer.context().heard().clone();
        let known = Partitions::ask(&consumer, [&self.topic.spec, S::dead_letters()])
            .map_err(|error| heard.explain_of(&consumer, error))?;
        known.agree()?;
        self.partitions = known.among(&[&self.topic.spec]);
        let mut looked_at = Instant::now();
        let partitions = self.partitions.of(name);
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
        self.tell();
        let (mut names, mut unread) = (TopicNames::default(), (0..partitions).collect());
        while !stop.is_cancelled() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = to_record(&message, &mut names);
                    self.take::<S>(&consumer, record, &mut settled, stop, outage)?;
                    outage.over();
                    self.tell();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.reached_end(&mut unread, partition);
                    self.tell();
                }
                Some(Err(error)) => {
                    debug!("{name}: {error}");
                    if let Some(why) = heard.take() {
                        anyhow::bail!("{why}");
                    }
                }
                None => {}
            }
            if looked_at.elapsed() >= LOOK_INTERVAL {
                looked_at = Instant::now();
                self.find_new_partitions(&consumer)?;
            }
        }
        Ok(())
    }

    /// A topic can be given more partitions. While Kafka is away that is not known.
    fn find_new_partitions(
        &mut self,
        consumer: &BaseConsumer<ReaderContext>,
    ) -> anyhow::Result<()> {
        let name = self.topic.name();
        let Some(now) = Partitions::look(consumer, [&self.topic.spec])? else { return Ok(()) };
        let (known, found) = (self.partitions.of(name), now.of(name));
        anyhow::ensure!(found >= known, "`{name}` was made again with fewer partitions");
        if found > known {
            let mut more = TopicPartitionList::new();
            for partition in known..found {
                more.add_partition_offset(name, partition, Offset::Beginning)?;
            }
            consumer.incremental_assign(&more)?;
            info!(topic = name, from = known, to = found, "more partitions are read");
            self.partitions = now;
            self.tell();
        }
        Ok(())
    }

    fn tell(&self) {
        if self.is_read {
            let mut remarks = self.partitions.remarks();
            if !self.unreadable.is_empty() {
                let named = self.unreadable.iter().take(NAMED_MAX);
                let named: Vec<_> = named.map(|(key, cause)| format!("{key}: {cause}")).collect();
                let rows = self.unreadable.len();
                remarks.push(format!(
                    "rows that cannot be read: {rows} ({}); mend the rows, or the table, and then \
                     write the rows again",
                    named.join("; ")
                ));
            }
            at_work(&self.status, (0..self.partitions.of(self.topic.name())).collect(), remarks);
        } else {
            self.status.send_replace(ThreadStatus::Starting);
        }
    }

    fn reached_end(&mut self, unread: &mut HashSet<i32>, partition: i32) {
        unread.remove(&partition);
        if !self.is_read && unread.is_empty() {
            self.is_read = true;
            if let Some(rows) = self.writer.reached_end() {
                info!(topic = self.topic.name(), rows, "table read");
            }
        }
    }

    /// Whether `record` is the latest of its key.
    fn is_latest(&mut self, record: &Record) -> bool {
        let key = record.key.clone().unwrap_or_default();
        let home = partition_for(&key, self.partitions.of(self.topic.name()).max(1));
        let (timestamp_ms, partition) = (record.timestamp_ms, record.partition);
        let new = Latest { timestamp_ms, is_home: partition == home, partition };
        let known = self.latest.get(&key);
        if known.is_some_and(|known| known.partition != partition && *known > new) {
            return false;
        }
        self.latest.insert(key, new);
        true
    }

    fn take<S: Service>(
        &mut self,
        consumer: &BaseConsumer<ReaderContext>,
        record: Record,
        settled: &mut BTreeMap<i32, i64>,
        stop: &CancellationToken,
        outage: &mut Pause,
    ) -> anyhow::Result<()> {
        if !self.is_latest(&record) {
            return Ok(());
        }
        let named = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        while !stop.is_cancelled() {
            match self.row(&record) {
                Ok((key, row)) => {
                    self.unreadable.remove(&named);
                    self.writer.set(key, row.map(Ok));
                    return Ok(());
                }
                Err(Failure::Poison(cause)) => {
                    if let Ok(key) = record.key_as::<K>() {
                        self.writer.set(key, Some(Err(cause.as_str().into())));
                        self.unreadable.insert(named, clip(&cause, CAUSE_BYTES_MAX).to_owned());
                    }
                    if settled.get(&record.partition).is_none_or(|next| record.offset >= *next) {
                        let cause = clip(&cause, CAUSE_BYTES_MAX);
                        warn!(record = record.address(), "dead letter: {cause}");
                        self.dead_letter::<S>(&record, cause)?;
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
        let letter = dead_letter::<S>(record, cause, Timestamp::now());
        send_now(&self.bootstrap, &self.client, &letter)
    }
}
