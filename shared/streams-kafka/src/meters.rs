//! [`LoopMeter`]: what a loop measures while its driver does what the engine asks for. The engine
//! knows nothing of it.

use crate::{ConsumerSettings, ThreadStatus};
use rdkafka::{
    Statistics,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use streams::{
    Effect, Event, Meters, Outgoing,
    engine::Class,
    fenced,
    meter::{
        BATCHES, CONNECTS, DEAD_LETTERS, FAILURES, FENCES, LAG, LAG_AGE, PARTITIONS, PHASES,
        REBUILDS, RECORDS, RENEWALS, RESTORES, SENT, TRANSACTIONS,
    },
    topic::TopicSpec,
    tx::dlq_names,
};
use tokio::sync::watch;

/// How often librdkafka says how far a member has read.
pub(crate) const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// What was heard longer ago says nothing about now.
const SILENCE_MAX: Duration = LAG_INTERVAL.saturating_mul(3);

/// Measures one loop.
pub(crate) struct LoopMeter {
    meters: Meters,
    name: &'static str,
    lags: Lags,
    /// What a commit makes true.
    pending: Pending,
}

#[derive(Default)]
struct Pending {
    records: u64,
    /// How many by topic.
    sent: BTreeMap<&'static str, u64>,
    /// The topics of the records that are put aside.
    letters: Vec<String>,
}

/// What was asked of Kafka, and when.
pub(crate) struct Asked {
    step: Step,
    at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Phase(&'static str),
    Restore,
    Other,
}

impl LoopMeter {
    /// A meter that shows all that may be counted, as 0.
    pub(crate) fn new(
        settings: &ConsumerSettings,
        inputs: &[&'static TopicSpec],
        status: &watch::Sender<ThreadStatus>,
    ) -> Self {
        let (meters, name, lags) = (settings.meters.clone(), settings.name, Lags::default());
        let plain = [&BATCHES, &RECORDS, &FENCES, &RENEWALS, &CONNECTS, &RESTORES, &REBUILDS];
        plain.into_iter().for_each(|metric| meters.count(metric, &[name], 0));
        for outcome in ["committed", "aborted"] {
            meters.count(&TRANSACTIONS, &[name, outcome], 0);
        }
        for class in [Class::Retriable, Class::Abortable, Class::Fatal, Class::Final] {
            meters.count(&FAILURES, &[name, word(class)], 0);
        }
        for topic in inputs {
            meters.count(&DEAD_LETTERS, &[name, topic.name], 0);
        }
        let status = status.subscribe();
        meters.observe(&PARTITIONS, move |tell| tell(&[name], at_work(&status.borrow())));
        lags.show(&meters, name);
        Self { meters, name, lags, pending: Pending::default() }
    }

    /// What the reader's statistics go to.
    pub(crate) fn lags(&self) -> Lags {
        self.lags.clone()
    }

    /// The driver is about to do this.
    pub(crate) fn asked(&mut self, effect: &Effect) -> Asked {
        let step = match effect {
            Effect::Begin => Step::Phase("begin"),
            Effect::Send(outgoing) => {
                self.sends(outgoing);
                Step::Phase("send")
            }
            Effect::SendOffsets(_) => Step::Phase("offsets"),
            Effect::Commit => Step::Phase("commit"),
            Effect::Abort => Step::Phase("abort"),
            Effect::FetchOffsets { .. } => Step::Restore,
            _ => Step::Other,
        };
        Asked { step, at: Instant::now() }
    }

    /// And this came of it.
    pub(crate) fn answered(&mut self, asked: &Asked, event: &Event) {
        if let Step::Phase(phase) = asked.step {
            self.meters.record(&PHASES, &[self.name, phase], asked.at.elapsed().as_secs_f64());
        }
        match event {
            Event::Connected => self.count_one(&CONNECTS),
            Event::Disconnected => self.dropped(),
            Event::Polled(polled) => self.read(polled.records.len()),
            Event::Offsets(_) | Event::Overtaken { .. } if asked.step == Step::Restore => {
                self.count_one(&RESTORES);
            }
            Event::Cleared => self.count_one(&REBUILDS),
            Event::Committed { .. } => {
                if asked.step == Step::Phase("commit") {
                    self.meters.count(&TRANSACTIONS, &[self.name, "committed"], 1);
                }
                self.committed();
            }
            Event::Aborted { .. } => {
                self.meters.count(&TRANSACTIONS, &[self.name, "aborted"], 1);
                self.pending = Pending::default();
            }
            Event::Renewed => self.count_one(&RENEWALS),
            Event::Failed(class, error) => self.failed(*class, error),
            _ => {}
        }
    }

    /// The same for a loop whose offsets are in a database.
    pub(crate) fn fenced(&mut self, event: &fenced::Event) {
        match event {
            fenced::Event::Connected => self.count_one(&CONNECTS),
            fenced::Event::Disconnected => self.dropped(),
            fenced::Event::Polled(polled) => {
                // What is not applied comes again, with the next poll.
                self.pending = Pending::default();
                self.read(polled.records.len());
            }
            fenced::Event::Claimed(offsets) => {
                let partitions = u64::try_from(offsets.len()).unwrap_or(u64::MAX);
                self.meters.count(&RESTORES, &[self.name], partitions);
            }
            fenced::Event::Applied => self.committed(),
            fenced::Event::Failed(class, error) => self.failed(*class, error),
            fenced::Event::Proceed | fenced::Event::Sought => {}
        }
    }

    fn count_one(&self, metric: &'static streams::meter::Metric) {
        self.meters.count(metric, &[self.name], 1);
    }

    fn read(&mut self, records: usize) {
        self.pending.records += u64::try_from(records).unwrap_or(u64::MAX);
    }

    fn sends(&mut self, outgoing: &[Outgoing]) {
        for message in outgoing {
            *self.pending.sent.entry(message.topic).or_default() += 1;
            let told = message.headers.get(dlq_names::TOPIC).filter(|_| is_letter(message));
            self.pending.letters.extend(told.map(ToOwned::to_owned));
        }
    }

    fn committed(&mut self) {
        let Pending { records, sent, letters } = std::mem::take(&mut self.pending);
        self.count_one(&BATCHES);
        self.meters.count(&RECORDS, &[self.name], records);
        for (topic, n) in sent {
            self.meters.count(&SENT, &[self.name, topic], n);
        }
        for topic in letters {
            self.meters.count(&DEAD_LETTERS, &[self.name, &topic], 1);
        }
    }

    /// The clients are gone, and with them what they had begun.
    fn dropped(&mut self) {
        self.pending = Pending::default();
    }

    fn failed(&mut self, class: Class, error: &anyhow::Error) {
        self.meters.count(&FAILURES, &[self.name, word(class)], 1);
        if is_fence(error) {
            self.count_one(&FENCES);
        }
    }
}

/// Its headers say where the record stands that it is a letter of. A record that is forwarded may
/// have such headers as well.
fn is_letter(message: &Outgoing) -> bool {
    message.topic.ends_with(".dlq")
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Retriable => "retriable",
        Class::Abortable => "abortable",
        Class::Fatal => "fatal",
        Class::Final => "final",
    }
}

fn at_work(status: &ThreadStatus) -> f64 {
    match status {
        ThreadStatus::Running { partitions, .. } => count(partitions.len()),
        ThreadStatus::Starting | ThreadStatus::Waiting(_) | ThreadStatus::Stopped => 0.0,
    }
}

/// Whether the error says that another instance may have taken over.
fn is_fence(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<KafkaError>().and_then(KafkaError::rdkafka_error_code);
    let fences = matches!(
        code,
        Some(
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
        )
    );
    fences || format!("{error:#}").contains("fenced")
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

/// How far a member is behind the ends of its partitions. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Lags(Arc<Mutex<BTreeMap<(String, i32), Lag>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lag {
    records: i64,
    heard_at: Instant,
    /// When it was last at the end; where it never was, when it was first heard of.
    at_end: Instant,
}

impl Lags {
    /// What librdkafka's statistics say: what is not fetched yet, and what is queued. Control
    /// records have offsets, too, and count until they are passed.
    pub(crate) fn hear(&self, statistics: &Statistics) {
        let now = Instant::now();
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values() {
                // Only those that are read from have a position.
                if partition.partition >= 0 && partition.ls_offset >= 0 && partition.next_offset > 0
                {
                    let unread = (partition.ls_offset - partition.next_offset).max(0);
                    let records = unread + partition.fetchq_cnt.max(0);
                    self.note((topic.topic.clone(), partition.partition), records, now);
                }
            }
        }
    }

    /// Only these are ours now.
    pub(crate) fn keep(&self, ours: &[(String, i32)]) {
        self.lock().retain(|place, _| ours.contains(place));
    }

    fn note(&self, place: (String, i32), records: i64, now: Instant) {
        let mut lags = self.lock();
        let lag = lags.entry(place).or_insert(Lag { records, heard_at: now, at_end: now });
        (lag.records, lag.heard_at) = (records, now);
        if records == 0 {
            lag.at_end = now;
        }
    }

    /// Records and age of each.
    fn now(&self, now: Instant) -> Vec<((String, i32), i64, Duration)> {
        let age = |lag: &Lag| {
            let is_current = now.saturating_duration_since(lag.heard_at) < SILENCE_MAX;
            match lag.records == 0 && is_current {
                true => Duration::ZERO,
                false => now.saturating_duration_since(lag.at_end),
            }
        };
        let lags = self.lock();
        lags.iter().map(|(place, lag)| (place.clone(), lag.records, age(lag))).collect()
    }

    fn show(&self, meters: &Meters, name: &'static str) {
        let lags = self.clone();
        meters.observe(&LAG, move |tell| {
            for ((topic, partition), records, _) in lags.now(Instant::now()) {
                let records = count(usize::try_from(records).unwrap_or(0));
                tell(&[name, &topic, &partition.to_string()], records);
            }
        });
        let lags = self.clone();
        meters.observe(&LAG_AGE, move |tell| {
            for ((topic, partition), _, age) in lags.now(Instant::now()) {
                tell(&[name, &topic, &partition.to_string()], age.as_secs_f64());
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, i32), Lag>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
