//! Dead letters: list them, replay them, discard them.
//!
//! No command deletes a dead letter: another record on the same partition says that it was replayed
//! or discarded. A replay writes the original and this note in one transaction, so that it happens
//! once.

use crate::{
    access::Asking,
    client::{WriterContext, producer_config, reader_config, to_message},
    log::{LogReader, read_topic},
    polled::Polled,
};
use anyhow::Context;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::Producer,
};
use std::{collections::BTreeMap, fmt, str::FromStr, thread};
use streams::{
    Backoff, Headers, Outgoing, Record, Timestamp,
    limits::{CALL_TIMEOUT, MESSAGE_BYTES_MAX, RESTORE_RECORDS_MAX},
    partition::partition_for,
    record::{Header, names},
    topic::{Cleanup, PASSED_BY, TopicSpec, Writers},
    tx::{dead_letter_of, dlq_names},
};

/// The header of a note: `<offset> replayed` or `<offset> discarded`.
const DONE: &str = "dlq_done";
/// How often an operator begins again who was fenced by another one, with a random pause between.
const ATTEMPTS_MAX: u32 = 20;

/// The place of a dead letter: `orders/2/17`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// Whose dead letters: the service's name.
    pub service: String,
    /// Partition of the dead letter topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is no dead letter: it is named like orders/2/17");
        let [service, partition, offset] = text.split('/').collect::<Vec<_>>()[..] else {
            return Err(form());
        };
        let partition = partition.parse().map_err(|_| form())?;
        let offset = offset.parse().map_err(|_| form())?;
        Ok(Self { service: service.to_owned(), partition, offset })
    }
}

/// What was done about a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was put back on its topic.
    Replayed,
    /// It was given up.
    Discarded,
}

impl Done {
    fn as_str(self) -> &'static str {
        match self {
            Done::Replayed => "replayed",
            Done::Discarded => "discarded",
        }
    }
}

/// One dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its name.
    pub id: LetterId,
    /// The topic that it is on.
    pub topic: &'static TopicSpec,
    /// Key, value and headers.
    pub record: Record,
    /// What was done about it, if anything.
    pub done: Option<Done>,
}

impl DeadLetter {
    /// Why it is here.
    pub fn cause(&self) -> &str {
        self.record.headers.get(dlq_names::CAUSE).unwrap_or("unknown")
    }

    /// `topic/partition/offset` of the record that it was.
    pub fn origin(&self) -> String {
        let header = |name| self.record.headers.get(name).unwrap_or("?");
        let (topic, partition) = (header(dlq_names::TOPIC), header(dlq_names::PARTITION));
        format!("{topic}/{partition}/{}", header(dlq_names::OFFSET))
    }

    /// How many bytes the record had and its SHA-256, if the letter could not keep all of it.
    pub fn cut(&self) -> Option<(&str, &str)> {
        let header = |name| self.record.headers.get(name);
        header(dlq_names::BYTES).zip(header(dlq_names::SHA256))
    }

    /// When it came here, RFC 3339.
    pub fn time(&self) -> &str {
        self.record.headers.get(dlq_names::TIME).unwrap_or("?")
    }
}

/// The dead letters on `topic`, oldest first per partition. Blocks.
///
/// # Errors
/// When Kafka is away.
pub fn list(bootstrap: &str, topic: &'static TopicSpec) -> anyhow::Result<Vec<DeadLetter>> {
    let mut partitions: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    read_topic(bootstrap, topic, |record| {
        partitions.entry(record.partition).or_default().push(record);
        Ok(())
    })?;
    let records = partitions.into_values();
    Ok(records.flat_map(|records| read_notes(topic, records)).collect())
}

/// Tell letters from notes, and join them.
fn read_notes(topic: &'static TopicSpec, records: Vec<Record>) -> Vec<DeadLetter> {
    let mut notes = BTreeMap::new();
    for record in &records {
        if let Some((offset, what)) = record.headers.get(DONE).and_then(|note| note.split_once(' '))
            && let Ok(offset) = offset.parse::<i64>()
        {
            let replayed = what == Done::Replayed.as_str();
            notes.insert(offset, if replayed { Done::Replayed } else { Done::Discarded });
        }
    }
    let letters = records.into_iter().filter(|record| record.headers.get(DONE).is_none());
    letters
        .map(|record| {
            let (partition, offset) = (record.partition, record.offset);
            let id = LetterId { service: owner(topic), partition, offset };
            DeadLetter { id, topic, done: notes.get(&offset).copied(), record }
        })
        .collect()
}

fn owner(topic: &TopicSpec) -> String {
    match topic.writers {
        Writers::One(service) => service.to_owned(),
        Writers::Several(_) | Writers::AnyProcess | Writers::Cdc => topic.name.to_owned(),
    }
}

/// Deal with `letter`: put it back on the one of `topics` that it came from, on its partition, with
/// its own bytes and headers; or give it up. Of a letter that was cut, the record is read at the
/// address where it stood. Blocks.
///
/// Of two operators who do it at the same time one succeeds: the letter has a transactional id, so
/// the later one fences the earlier, and what was done is read again behind that fence. Kafka
/// forgets the id a week after its last use (`transactional.id.expiration.ms`).
///
/// # Errors
/// When it was dealt with before, does not say where it came from, was cut and the record that it
/// was is gone, a later record of a compacted topic has taken its place, or Kafka is away.
pub fn settle(
    bootstrap: &str,
    letter: &DeadLetter,
    done: Done,
    topics: &[&'static TopicSpec],
) -> anyhow::Result<()> {
    let mut outgoing = vec![note(letter, done)];
    if done == Done::Replayed {
        outgoing.push(original(bootstrap, letter, topics)?);
    }
    send_fenced(bootstrap, &format!("shop-dlq-{}", letter.id), &outgoing, || {
        let now = list(bootstrap, letter.topic)?.into_iter().find(|known| known.id == letter.id);
        match now.with_context(|| format!("{} is no longer there", letter.id))?.done {
            Some(done) => anyhow::bail!("{} was {} before", letter.id, done.as_str()),
            None => Ok(()),
        }
    })
}

/// Sends `outgoing` in one transaction, if `check` still allows it once the others with the same
/// transactional id are fenced. An operator whom another one fences begins again: the other may
/// have failed.
fn send_fenced(
    bootstrap: &str,
    id: &str,
    outgoing: &[Outgoing],
    check: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::default();
    for _ in 0..ATTEMPTS_MAX {
        let (producer, context) = producer_of(bootstrap, id)?;
        let away = || format!("cannot write to Kafka at {bootstrap}");
        let attempt = || {
            let fenced = producer.init_transactions(CALL_TIMEOUT);
            fenced.map_err(|error| context.heard().explain(error)).with_context(away)?;
            check()?;
            send_all(&producer, &context, outgoing).with_context(away)
        };
        match (attempt(), producer.client().fatal_error()) {
            (Err(_), Some((RDKafkaErrorCode::Fenced, _))) => thread::sleep(backoff.next()),
            (result, _) => return result,
        }
    }
    anyhow::bail!("other operators came first {ATTEMPTS_MAX} times, as {id}; try again")
}

/// The address of a record: `orders.commands/2/17`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is no record: it is named like orders.commands/2/17");
        let (place, offset) = text.rsplit_once('/').ok_or_else(form)?;
        let (topic, partition) = place.rsplit_once('/').ok_or_else(form)?;
        let (partition, offset) =
            partition.parse().ok().zip(offset.parse().ok()).ok_or_else(form)?;
        Ok(Self { topic: topic.to_owned(), partition, offset })
    }
}

/// Pass by the record at `address`, which stops the processor of `group`, whose next offset on the
/// partition is `next`: a dead letter of its `service`, on `letters`, says so, and why. In the same
/// transaction it comes on [`PASSED_BY`], which the processor reads when it starts and while it is
/// in trouble. From then on nothing comes of the record for it, also in a restore. Blocks.
///
/// # Errors
/// When the group has handled the record, there is none, or Kafka is away.
pub fn pass_by(
    bootstrap: &str,
    address: &Address,
    (group, next): (&str, i64),
    (service, letters): (&str, &'static TopicSpec),
    why: &str,
) -> anyhow::Result<()> {
    let Address { topic, partition, offset } = address;
    anyhow::ensure!(
        next <= *offset,
        "{group} has handled {topic}/{partition}/{offset}: it is at {next}, and what it made of \
         the record would be missing after a restore"
    );
    let mut log = LogReader::new(bootstrap, "shop-dlq")?;
    let end = log.stable_end(topic, *partition)?;
    anyhow::ensure!(*offset < end, "{topic}/{partition} ends at {end}");
    let (records, _) = log.read(topic, *partition, *offset, offset + 1, 1)?;
    let record = records.into_iter().find(|record| record.offset == *offset);
    let record =
        record.with_context(|| format!("there is no record at {topic}/{partition}/{offset}"))?;
    let cause = format!("passed by: {why}");
    let mut letter = dead_letter_of(service, letters, &record, &cause, Timestamp::now());
    letter.headers.push(dlq_names::PASSED, group);
    let mut mark = Outgoing {
        topic: PASSED_BY.name,
        partition: 0,
        key: Some(format!("{group}/{}", record.address()).into_bytes()),
        value: Some(why.into()),
        headers: Headers::default(),
    };
    mark.headers.push(dlq_names::SHA256, record.digest());
    let id = format!("shop-dlq-pass-{group}/{}", record.address());
    send_fenced(bootstrap, &id, &[letter, mark], || Ok(()))
}

type TransactionalProducer = Polled<WriterContext>;

fn producer_of(
    bootstrap: &str,
    id: &str,
) -> anyhow::Result<(TransactionalProducer, WriterContext)> {
    let context = WriterContext::default();
    let config = producer_config(bootstrap, id, Some(id))?;
    Ok((config.create_with_context(context.clone())?, context))
}

/// Send `outgoing` in one transaction.
fn send_all(
    producer: &TransactionalProducer,
    context: &WriterContext,
    outgoing: &[Outgoing],
) -> anyhow::Result<()> {
    producer.begin_transaction()?;
    for record in outgoing {
        context.sent();
        producer.send(to_message(record)).map_err(|(error, _)| error)?;
    }
    context.wait().map_err(anyhow::Error::msg)?;
    Ok(producer.commit_transaction(CALL_TIMEOUT)?)
}

/// Where `group` is on the partition of `address`, by its offsets in Kafka; 0 if it has committed
/// nothing there. Blocks.
///
/// # Errors
/// When Kafka is away.
pub fn committed(bootstrap: &str, group: &str, address: &Address) -> anyhow::Result<i64> {
    let config = reader_config(bootstrap, group)?;
    let consumer: BaseConsumer<Asking> = config.create_with_context(Asking::default())?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&address.topic, address.partition);
    let committed = consumer.committed_offsets(wanted, CALL_TIMEOUT);
    let committed = committed.map_err(|error| consumer.context().0.explain_of(&consumer, error))?;
    Ok(committed.elements().first().map_or(0, |element| match element.offset() {
        Offset::Offset(next) => next,
        _ => 0,
    }))
}

/// Which records a group passes by, as far as [`PASSED_BY`] has been read.
pub(crate) struct Marks {
    group: &'static str,
    next: i64,
}

impl Marks {
    pub(crate) fn new(group: &'static str) -> Self {
        Self { group, next: 0 }
    }

    /// Address and digest of those that were added since the last call.
    pub(crate) fn news(
        &mut self,
        bootstrap: &str,
        client: &str,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let mut log = LogReader::new(bootstrap, &format!("{client}-passed"))?;
        let end = log.stable_end(PASSED_BY.name, 0).with_context(|| PASSED_BY.name)?;
        let mut passed = Vec::new();
        while self.next < end {
            let (records, on) = log.read(PASSED_BY.name, 0, self.next, end, RESTORE_RECORDS_MAX)?;
            passed.extend(records.iter().filter_map(|record| {
                let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
                let address = key.strip_prefix(self.group)?.strip_prefix('/')?;
                Some((address.to_owned(), record.headers.get(dlq_names::SHA256)?.to_owned()))
            }));
            self.next = on;
        }
        Ok(passed)
    }
}

fn note(letter: &DeadLetter, done: Done) -> Outgoing {
    let mut headers = Headers::default();
    headers.push(DONE, format!("{} {}", letter.id.offset, done.as_str()));
    headers.push(dlq_names::TIME, Timestamp::now().rfc3339());
    Outgoing {
        topic: letter.topic.name,
        partition: letter.id.partition,
        key: letter.record.key.clone(),
        value: None,
        headers,
    }
}

/// The record that `letter` was, as it is put back.
fn original(
    bootstrap: &str,
    letter: &DeadLetter,
    topics: &[&'static TopicSpec],
) -> anyhow::Result<Outgoing> {
    let header = |name| letter.record.headers.get(name);
    let name = header(dlq_names::TOPIC).context("the dead letter does not name its topic")?;
    let topic = topics.iter().find(|topic| topic.name == name);
    let spec = *topic.with_context(|| format!("there is no topic `{name}`"))?;
    let partition = header(dlq_names::PARTITION).and_then(|text| text.parse().ok());
    let partition: i32 = partition.context("the dead letter does not name its partition")?;
    if spec.cleanup == Cleanup::Compact {
        ensure_last(bootstrap, letter, spec.name, partition)?;
    }
    let topic = spec.name;
    let whole =
        match letter.cut() {
            Some((bytes, digest)) => {
                let whole = read_whole(bootstrap, letter, topic, partition, digest);
                Some(whole.with_context(|| {
                    format!("{} is a part of a record of {bytes} bytes", letter.id)
                })?)
            }
            None => None,
        };
    let record = whole.as_ref().unwrap_or(&letter.record);
    // What the letter has besides.
    let cause = (names::CAUSATION_ID.into(), Some(letter.origin().into_bytes()));
    let is_own = |header: &&Header| !header.0.starts_with(dlq_names::PREFIX) && **header != cause;
    let headers = Headers(record.headers.0.iter().filter(is_own).cloned().collect());
    let (key, value) = (record.key.clone(), record.value.clone());
    // It stood outside of the topic's contract, which is why it is a dead letter.
    let is_outside = partition >= spec.partitions() && spec.writers != Writers::Cdc;
    let home = partition_for(key.as_deref().unwrap_or_default(), spec.partitions());
    let partition = if is_outside { home } else { partition };
    Ok(Outgoing { topic, partition, key, value, headers })
}

/// On a compacted topic the last record of a key counts: an older one must not take its place.
fn ensure_last(
    bootstrap: &str,
    letter: &DeadLetter,
    topic: &str,
    partition: i32,
) -> anyhow::Result<()> {
    let mut log = LogReader::new(bootstrap, "shop-dlq")?;
    let end = log.stable_end(topic, partition)?;
    let mut next = offset_of(letter)? + 1;
    while next < end {
        let (records, on) = log.read(topic, partition, next, end, RESTORE_RECORDS_MAX)?;
        if let Some(later) = records.iter().find(|record| record.key == letter.record.key) {
            let (old, new) = (letter.origin(), later.address());
            anyhow::bail!(
                "{new} has taken the place of {old}, and a replay would undo it: discard it"
            );
        }
        next = on;
    }
    Ok(())
}

fn offset_of(letter: &DeadLetter) -> anyhow::Result<i64> {
    let offset = letter.record.headers.get(dlq_names::OFFSET).and_then(|text| text.parse().ok());
    offset.context("the dead letter does not name its offset")
}

/// The record at the origin of `letter`, if it still is the same.
fn read_whole(
    bootstrap: &str,
    letter: &DeadLetter,
    topic: &str,
    partition: i32,
    digest: &str,
) -> anyhow::Result<Record> {
    let offset = offset_of(letter)?;
    let mut log = LogReader::new(bootstrap, "shop-dlq")?;
    let (records, _) = log.read(topic, partition, offset, offset + 1, 1)?;
    let gone = || format!("{} is gone from its topic: it can only be discarded", letter.origin());
    let record = records.into_iter().find(|record| record.offset == offset).with_context(gone)?;
    anyhow::ensure!(record.digest() == digest, "{} is another record by now", letter.origin());
    let size = record.size();
    anyhow::ensure!(
        size < MESSAGE_BYTES_MAX,
        "{} has {size} bytes, and its topic takes {MESSAGE_BYTES_MAX} at most",
        letter.origin()
    );
    Ok(record)
}
