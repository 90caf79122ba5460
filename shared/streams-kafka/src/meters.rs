//! [`LoopMeter`]: what a loop measures while its driver does what the engine asks for. The engine
//! knows nothing of it.

mod lag;

pub(crate) use lag::{LAG_INTERVAL, Lags};

use crate::{ConsumerSettings, ThreadStatus};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::{collections::BTreeMap, time::Instant};
use streams::{
    Effect, Event, Meters, Outgoing,
    engine::Class,
    fenced,
    meter::{
        BATCHES, CONNECTS, DEAD_LETTERS, FAILURES, FENCES, PARTITIONS, PARTITIONS_IN_ALL, PHASES,
        REBUILDS, RECORDS, RENEWALS, RESTORES, SENT, TRANSACTIONS,
    },
    topic::TopicSpec,
    tx::dlq_names,
};
use tokio::sync::watch;

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
        let in_all = inputs.iter().map(|topic| topic.partitions()).max().unwrap_or(0);
        meters.observe(&PARTITIONS_IN_ALL, move |tell| tell(&[name], f64::from(in_all)));
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
            // What was read comes again.
            Event::Sought => self.pending = Pending::default(),
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

#[cfg(test)]
mod tests;
