//! Kafka clients: their settings, each with its reason, their callbacks, and the meaning of their
//! errors.

use crate::{
    access::{self, Heard},
    meters::Lags,
    partitions::{Partitions, WrongCount},
};
use rdkafka::{
    ClientConfig, ClientContext, Message, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Header, Headers as _, OwnedHeaders},
    producer::{BaseRecord, ProducerContext},
    types::RDKafkaRespErr,
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use streams::{
    Headers, Outgoing, Record, Timestamp,
    engine::{Class, Offsets},
    limits::{
        CALL_TIMEOUT, HEARTBEAT_INTERVAL, MESSAGE_BYTES_MAX, SESSION_TIMEOUT, TRANSACTION_TIMEOUT,
    },
};
use tracing::debug;

/// How long librdkafka waits, give or take a fifth, before it sends a request of a transactional
/// producer again after a time-out or a lost connection.
const RETRY_BACKOFF: Duration = Duration::from_millis(300);

/// An EndTxn that was answered sooner was sent once: librdkafka (`rd_kafka_buf_retry`) waits for
/// [`RETRY_BACKOFF`], with a jitter of 20 %, before it repeats one.
pub(crate) const DOUBT_AFTER: Duration = Duration::from_millis(240);

fn base(bootstrap: &str, client: &str) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    access::set_cluster(&mut config, bootstrap)?;
    config
        .set("client.id", client)
        // A broker that is back should be noticed soon.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "0")
        .set_log_level(RDKafkaLogLevel::Error);
    Ok(config)
}

/// A consumer with assigned partitions: no group, no rebalance.
pub(crate) fn reader_config(bootstrap: &str, client: &str) -> anyhow::Result<ClientConfig> {
    let mut config = base(bootstrap, client)?;
    config
        .set("group.id", client)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        // librdkafka would keep up to 64 MiB per consumer and partition ready (its defaults);
        // a batch is 500 records.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.max.bytes", "4194304")
        .set("fetch.message.max.bytes", "1048576")
        // The default of a second would be felt whenever the small queue is full.
        .set("fetch.queue.backoff.ms", "10");
    Ok(config)
}

/// A member of a group. The classic protocol with the range assignor and eager rebalances: one
/// generation hands partition p of every input topic over at once, so that a task is never split
/// between two members; and with it the session timeout is ours to set.
pub(crate) fn member_config(
    bootstrap: &str,
    group: &str,
    member: &str,
) -> anyhow::Result<ClientConfig> {
    let mut config = reader_config(bootstrap, member)?;
    config
        .set("group.id", group)
        .set("group.instance.id", member)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", millis(SESSION_TIMEOUT))
        .set("heartbeat.interval.ms", millis(HEARTBEAT_INTERVAL));
    Ok(config)
}

/// An idempotent producer, or with `transactional_id` a transactional one.
pub(crate) fn producer_config(
    bootstrap: &str,
    client: &str,
    transactional_id: Option<&str>,
) -> anyhow::Result<ClientConfig> {
    let mut config = base(bootstrap, client)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // Our topics keep batches uncompressed: the broker would only have to unpack them.
        .set("compression.type", "none")
        .set("linger.ms", "0")
        // Java's partitioner, so that Debezium and we put a key in the same place.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.kbytes", "65536");
    match transactional_id {
        Some(id) => config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", millis(TRANSACTION_TIMEOUT))
            .set("retry.backoff.ms", millis(RETRY_BACKOFF)),
        None => config.set("message.timeout.ms", "5000"),
    };
    Ok(config)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// A call that went wrong, and what must be done about it.
pub(crate) struct Failed {
    pub(crate) class: Class,
    pub(crate) error: anyhow::Error,
}

impl Failed {
    /// As librdkafka says.
    pub(crate) fn of(error: KafkaError) -> Self {
        Self { class: classify(&error), error: access::explain(error.into()) }
    }

    /// A reader could not be made. A wrong setting ends the process: waiting does not cure it.
    pub(crate) fn to_join(error: anyhow::Error) -> Self {
        let class = if error.is::<WrongCount>() { Class::Final } else { Class::Fatal };
        Self { class, error }
    }

    /// The clients are lost.
    pub(crate) fn fatal(error: impl Into<anyhow::Error>) -> Self {
        Self { class: Class::Fatal, error: error.into() }
    }
}

/// librdkafka's rule: what is neither retriable nor abortable must be taken as fatal.
fn classify(error: &KafkaError) -> Class {
    match error {
        KafkaError::Transaction(inner) if inner.is_fatal() => Class::Fatal,
        KafkaError::Transaction(inner) if inner.txn_requires_abort() => Class::Abortable,
        KafkaError::Transaction(inner) if inner.is_retriable() => Class::Retriable,
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Class::Retriable,
        _ => Class::Fatal,
    }
}

/// Whether the cluster has gone from the client's sight.
fn is_outage(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// A change of what a member owns.
#[derive(Debug)]
pub(crate) enum GroupEvent {
    /// These (topic, partition) are ours now.
    Assigned(Vec<(String, i32)>),
    /// These are not any more.
    Revoked(Vec<(String, i32)>),
}

/// Callbacks of a consumer: they run on the thread that polls.
#[derive(Default)]
pub(crate) struct ReaderContext {
    events: Mutex<Vec<GroupEvent>>,
    outage: AtomicBool,
    ends: Mutex<Option<Ends>>,
    partitions: Mutex<Partitions>,
    lags: Lags,
    heard: Heard,
}

/// Which partitions were read to their end, and when that was so.
pub(crate) struct Ends {
    pub(crate) at: Timestamp,
    pub(crate) reached: HashSet<(String, i32)>,
}

impl Ends {
    /// As librdkafka's statistics have it: nothing is queued, and the next offset to fetch is the
    /// last stable one. Control records have offsets, too, so this compares positions, not records.
    /// It was so when the brokers were heard last.
    fn of(statistics: &Statistics) -> Self {
        let fetched_from = statistics.brokers.values().filter(|broker| !broker.toppars.is_empty());
        let silence = fetched_from.map(|broker| broker.rxidle.max(0)).max().unwrap_or(0);
        let silence = Duration::from_micros(u64::try_from(silence).unwrap_or(0));
        let partitions = statistics.topics.values().flat_map(|topic| {
            topic.partitions.values().map(|partition| (topic.topic.clone(), partition))
        });
        let at_end = partitions.filter(|(_, partition)| {
            partition.fetchq_cnt == 0
                && partition.ls_offset >= 0
                && partition.next_offset >= partition.ls_offset
        });
        let reached = at_end.map(|(topic, partition)| (topic, partition.partition)).collect();
        let now = Timestamp::now().millis();
        let silence = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
        Self { at: Timestamp(now.saturating_sub(silence)), reached }
    }
}

impl ReaderContext {
    /// The context of a member, whose statistics go to `lags` as well.
    pub(crate) fn with_lags(lags: Lags) -> Self {
        Self { lags, ..Self::default() }
    }

    /// What it was refused.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// How far it is behind.
    pub(crate) fn lags(&self) -> &Lags {
        &self.lags
    }

    /// What the topics of a member have: tasks are dealt by it.
    pub(crate) fn deal_by(&self, partitions: Partitions) {
        *lock(&self.partitions) = partitions;
    }

    /// What has happened since the last call.
    pub(crate) fn take_events(&self) -> Vec<GroupEvent> {
        std::mem::take(&mut *lock(&self.events))
    }

    /// What statistics have said since the last call.
    pub(crate) fn take_ends(&self) -> Option<Ends> {
        lock(&self.ends).take()
    }

    /// Whether an outage has been reported since the last call.
    pub(crate) fn take_outage(&self) -> bool {
        self.outage.swap(false, Ordering::Relaxed)
    }
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The driver logs once that Kafka is away; librdkafka would say it every second.
        debug!("{error}: {reason}");
        self.heard.hear(&error, reason);
        if is_outage(&error) {
            self.outage.store(true, Ordering::Relaxed);
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.lags.hear(&statistics);
        *lock(&self.ends) = Some(Ends::of(&statistics));
    }
}

impl ConsumerContext for ReaderContext {
    /// All partitions come and go at once: the protocol is eager.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        given: &mut TopicPartitionList,
    ) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let ours = lock(&self.partitions).dealt(&pairs(given));
            self.lags.keep(&pairs(&ours));
            lock(&self.events).push(GroupEvent::Assigned(pairs(&ours)));
            consumer.assign(&ours)
        } else {
            let ours = consumer.assignment().map(|ours| pairs(&ours)).unwrap_or_default();
            lock(&self.events).push(GroupEvent::Revoked(ours));
            consumer.unassign()
        };
        if let Err(error) = done {
            debug!(?what, "{error}");
        }
    }
}

fn pairs(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    let elements = partitions.elements();
    elements.iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

/// What has become of the records that a transaction has sent.
#[derive(Default)]
pub(crate) struct Deliveries {
    outstanding: usize,
    error: Option<String>,
    /// Offset of the last delivered record, per topic and partition.
    last: Offsets,
}

/// Callbacks of a producer: they run on its polling thread.
#[derive(Clone, Default)]
pub(crate) struct WriterContext {
    deliveries: Arc<(Mutex<Deliveries>, Condvar)>,
    heard: Heard,
}

impl WriterContext {
    /// What it was refused.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// A new transaction: nothing is outstanding.
    pub(crate) fn begin(&self) {
        *lock(&self.deliveries.0) = Deliveries::default();
    }

    /// One record more is on its way.
    pub(crate) fn sent(&self) {
        lock(&self.deliveries.0).outstanding += 1;
    }

    /// It could not be handed over.
    pub(crate) fn unsent(&self) {
        let mut deliveries = lock(&self.deliveries.0);
        deliveries.outstanding = deliveries.outstanding.saturating_sub(1);
    }

    /// Wait until all have arrived. Without it, `commit_transaction` would take 100 ms more, as
    /// rdkafka's flush polls in slices of that length.
    pub(crate) fn wait(&self) -> Result<Offsets, String> {
        let (mutex, arrived) = &*self.deliveries;
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut deliveries = lock(mutex);
        while deliveries.outstanding > 0 && deliveries.error.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let late = format!("{} records not acknowledged", deliveries.outstanding);
                return Err(self.explained(late));
            }
            let waited = arrived.wait_timeout(deliveries, left);
            deliveries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match deliveries.error.take() {
            Some(error) => Err(self.explained(error)),
            None => Ok(std::mem::take(&mut deliveries.last)),
        }
    }

    fn explained(&self, error: String) -> String {
        format!("{:#}", self.heard.explain(anyhow::Error::msg(error)))
    }
}

impl ClientContext for WriterContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!("{error}: {reason}");
        self.heard.hear(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (mutex, arrived) = &*self.deliveries;
        let mut deliveries = lock(mutex);
        deliveries.outstanding = deliveries.outstanding.saturating_sub(1);
        match result {
            Ok(message) => {
                let place = (message.topic().to_owned(), message.partition());
                deliveries.last.insert(place, message.offset());
            }
            Err((error, message)) => {
                let place = format!("{}/{}", message.topic(), message.partition());
                let explained = || access::explain(error.clone().into());
                deliveries.error.get_or_insert_with(|| format!("{place}: {:#}", explained()));
            }
        }
        if deliveries.outstanding == 0 || deliveries.error.is_some() {
            arrived.notify_all();
        }
    }
}

/// An owned copy of `message`.
pub(crate) fn to_record(message: &BorrowedMessage<'_>, topics: &mut TopicNames) -> Record {
    let mut headers = Vec::new();
    if let Some(native) = message.headers() {
        headers.reserve_exact(native.count());
        headers.extend(native.iter().map(|it| (it.key.into(), it.value.map(<[u8]>::to_vec))));
    }
    Record {
        topic: topics.intern(message.topic()),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: Headers(headers),
    }
}

/// Names that are shared by all records of a topic.
#[derive(Default)]
pub(crate) struct TopicNames(Vec<Arc<str>>);

impl TopicNames {
    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.push(Arc::clone(&name));
        name
    }
}

/// `outgoing` as a producer wants it.
pub(crate) fn to_message(outgoing: &Outgoing) -> BaseRecord<'_, [u8], [u8]> {
    let mut message = BaseRecord::to(outgoing.topic).partition(outgoing.partition);
    if let Some(key) = &outgoing.key {
        message = message.key(&key[..]);
    }
    if let Some(value) = &outgoing.value {
        message = message.payload(&value[..]);
    }
    message.headers(to_headers(&outgoing.headers))
}

/// Headers as a producer wants them.
pub(crate) fn to_headers(headers: &Headers) -> OwnedHeaders {
    let mut native = OwnedHeaders::new_with_capacity(headers.0.len());
    for (key, value) in &headers.0 {
        native = native.insert(Header { key, value: value.as_ref() });
    }
    native
}

/// The pause between two looks at something that is about to change.
pub(crate) fn pause_briefly() {
    std::thread::sleep(Duration::from_millis(5));
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
