//! [`spawn_fenced`]: drives a [`FencedEngine`] on a real Kafka. The engine decides the steps and
//! the consequences of failures; the driver makes the calls.

use crate::{
    ConsumerSettings, Pause, ThreadHandle, ThreadStatus, at_work, client::Failed, dlq::Marks,
    group::GroupReader, log::LogReader, meters::LoopMeter, spawn, transactional::LOOK_EVERY,
};
use anyhow::anyhow;
use streams::{
    Codec, Failure, Record, RegistryError,
    engine::{Class, Offsets},
    failpoint,
    fenced::{Effect, Event, FencedEngine},
    topic::TopicSpec,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A service's reaction to its input topics, with offsets in a database of its own instead of a
/// Kafka transaction. Its calls may block.
pub trait FencedConsumer: Send {
    /// The topics to read, co-partitioned.
    fn inputs(&self) -> Vec<&'static TopicSpec>;

    /// The topics to write through an outbox, whose schemas must be registered first.
    fn outputs(&self) -> Vec<&'static TopicSpec>;

    /// Where the outbox puts what cannot be handled.
    fn dead_letters(&self) -> &'static TopicSpec;

    /// Whether a customer waits for what comes of `record`, as
    /// [`Processor::is_awaited`](streams::Processor::is_awaited).
    fn is_awaited(&self, record: &Record) -> bool;

    /// These (topic, partition) are ours now: raise their epochs, so that the instance that had
    /// them before can write no more. Gives the next offset of each, 0 where there is none yet.
    ///
    /// # Errors
    /// [`Failure::Retriable`] while the database is away.
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Offsets, Failure>;

    /// Nothing comes of these records (address and digest) from now on, but that they are behind
    /// us: an operator has taken them out of the way.
    fn pass_by(&mut self, records: Vec<(String, String)>);

    /// One transaction: what the records of `batch` cause, and the offsets after them, guarded by
    /// the epochs. Poison is dead-lettered inside of it; records below the stored offset change
    /// nothing.
    ///
    /// # Errors
    /// [`Failure::Retriable`] while the database is away, [`Failure::Fatal`] when fenced.
    fn apply(&mut self, batch: &[Record]) -> Result<(), Failure>;
}

/// Run `consumer` on a thread of its own until `stop` is cancelled. Kafka, its topics and the
/// registry may come later, and go and come back.
pub fn spawn_fenced<C: FencedConsumer + 'static>(
    settings: ConsumerSettings,
    consumer: C,
    codec: Codec,
    stop: CancellationToken,
) -> ThreadHandle {
    spawn(settings.name, move |status| {
        let inputs = consumer.inputs();
        let (engine, meter) =
            (FencedEngine::new(&inputs), LoopMeter::new(&settings, &inputs, &status));
        let passed = Marks::new(settings.name);
        let (reader, failures, remarks) = (None, 0, Vec::new());
        FencedDriver { settings, consumer, codec, engine, reader, passed, failures, remarks, meter }
            .run(&stop, &status)
    })
}

struct FencedDriver<C> {
    settings: ConsumerSettings,
    consumer: C,
    codec: Codec,
    engine: FencedEngine,
    reader: Option<GroupReader>,
    passed: Marks,
    /// How often in a row it has failed.
    failures: u32,
    /// What was deleted before it was read.
    remarks: Vec<String>,
    meter: LoopMeter,
}

impl<C: FencedConsumer> FencedDriver<C> {
    fn run(
        mut self,
        stop: &CancellationToken,
        status: &watch::Sender<ThreadStatus>,
    ) -> anyhow::Result<()> {
        let mut pause = Pause::new(self.settings.name, status.clone());
        pause.until_the_time_is_known(stop);
        let mut effect = self.engine.next(Event::Proceed);
        loop {
            let event = match effect {
                // Only between two batches: what was begun is ended.
                Effect::Poll | Effect::BackOff { .. } if stop.is_cancelled() => return Ok(()),
                Effect::BackOff { cause } => {
                    pause.wait(&cause, stop);
                    self.failures += 1;
                    if self.reader.is_some() && self.failures.is_multiple_of(LOOK_EVERY) {
                        // It helps who stands still: if Kafka is away, the next call says so.
                        let _ = self.learn();
                    }
                    Event::Proceed
                }
                Effect::Stop(error) => return Err(error),
                other => {
                    if matches!(other, Effect::Poll) && self.engine.trouble().is_none() {
                        pause.over();
                        self.failures = 0;
                        let partitions = self.engine.partitions().collect();
                        let reader = self.reader.as_ref().map(GroupReader::remarks);
                        let remarks = reader.into_iter().flatten().chain(self.remarks.clone());
                        at_work(status, partitions, remarks.collect());
                    }
                    let done = self.perform(other);
                    let event =
                        done.unwrap_or_else(|Failed { class, error }| Event::Failed(class, error));
                    self.meter.fenced(&event);
                    event
                }
            };
            effect = self.engine.next(event);
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<Event, Failed> {
        match effect {
            Effect::Connect => self.connect(),
            Effect::Disconnect => {
                self.reader = None;
                Ok(Event::Disconnected)
            }
            Effect::Poll => {
                let Self { reader, consumer, .. } = self;
                let reader = reader.as_mut().ok_or_else(not_connected)?;
                let polled = reader.poll(|record| consumer.is_awaited(record));
                Ok(Event::Polled(polled.map_err(Failed::fatal)?))
            }
            Effect::Claim(partitions) => {
                let mut offsets = self.consumer.claim(&partitions).map_err(failed)?;
                failpoint::reached("claimed");
                self.look_for_gaps(&mut offsets)?;
                Ok(Event::Claimed(offsets))
            }
            Effect::Seek(offsets) => {
                self.reader()?.seek(&offsets).map_err(Failed::fatal)?;
                Ok(Event::Sought)
            }
            Effect::Apply(batch) => {
                failpoint::reached("polled");
                self.consumer.apply(&batch).map_err(failed)?;
                Ok(Event::Applied)
            }
            other => unreachable!("{other:?} is not for Kafka or the database"),
        }
    }

    /// The positions are the database's: say where the log no longer has them, and go on where it
    /// begins.
    fn look_for_gaps(&mut self, offsets: &mut Offsets) -> Result<(), Failed> {
        let client = format!("{}-gaps", self.settings.member());
        let log = LogReader::new(&self.settings.bootstrap, &client).map_err(Failed::fatal)?;
        let starts = log.overtaken(offsets).map_err(Failed::fatal)?;
        for ((topic, partition), start) in starts {
            let from = offsets.insert((topic.clone(), partition), start).unwrap_or(0);
            let remark = format!(
                "the offsets {from} to {} of {topic}/{partition} were deleted before they were \
                 read: not made up for",
                start - 1
            );
            warn!("{remark}");
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
        Ok(())
    }

    fn learn(&mut self) -> anyhow::Result<()> {
        let news = self.passed.news(&self.settings.bootstrap, &self.settings.member())?;
        self.consumer.pass_by(news);
        Ok(())
    }

    fn reader(&mut self) -> Result<&mut GroupReader, Failed> {
        self.reader.as_mut().ok_or_else(not_connected)
    }

    fn connect(&mut self) -> Result<Event, Failed> {
        self.codec.warm_up(&self.consumer.outputs()).map_err(|error| match error {
            RegistryError::Incompatible { .. } => {
                Failed { class: Class::Final, error: error.into() }
            }
            other => Failed::fatal(other),
        })?;
        self.learn().map_err(Failed::fatal)?;
        let letters = self.consumer.dead_letters();
        let besides: Vec<_> = self.consumer.outputs().into_iter().chain([letters]).collect();
        let (inputs, lags) = (self.consumer.inputs(), self.meter.lags());
        let reader = GroupReader::join(&self.settings, inputs, &besides, lags);
        self.reader = Some(reader.map_err(Failed::to_join)?);
        Ok(Event::Connected)
    }
}

fn not_connected() -> Failed {
    Failed::fatal(anyhow!("not connected"))
}

/// The consequence of a failure of the service for its consumer.
fn failed(failure: Failure) -> Failed {
    match failure {
        Failure::Retriable(error) => Failed { class: Class::Retriable, error },
        Failure::Fatal(error) => Failed { class: Class::Fatal, error },
        Failure::Poison(cause) => Failed::fatal(anyhow!("no record to blame: {cause}")),
    }
}
