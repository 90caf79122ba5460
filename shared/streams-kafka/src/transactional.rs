//! [`TransactionalDriver`]: drives an [`Engine`] on a real Kafka. The engine decides the steps and
//! the consequences of failures; the driver makes the calls.

use crate::{
    ConsumerSettings, Pause, ThreadHandle, ThreadStatus, at_work,
    client::{Failed, WriterContext, pause_briefly, producer_config, to_message},
    dlq::{Address, Marks, committed},
    group::{GroupReader, to_list},
    log::LogReader,
    meters::LoopMeter,
    polled::Polled,
    spawn,
};
use anyhow::{Context, anyhow};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer,
};
use std::time::Instant;
use streams::{
    Codec, Effect, Engine, Event, Outgoing, Processor, Record, RegistryError, Service, Timestamp,
    engine::{Class, Offsets},
    failpoint,
    limits::{CALL_TIMEOUT, RESTORE_RECORDS_MAX, TICK},
    store::Store,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// After so many failures in a row a driver looks whether a record was passed by.
pub(crate) const LOOK_EVERY: u32 = 3;

/// What came of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// So many records were handled and committed.
    Processed(usize),
}

struct Clients {
    reader: GroupReader,
    producer: Polled<WriterContext>,
    deliveries: WriterContext,
    /// For restores, and for reading back what was committed in doubt.
    log: Option<LogReader>,
}

/// The driver of one [`Processor`]. One thread owns it, with its consumer and its producer.
pub struct TransactionalDriver<P> {
    settings: ConsumerSettings,
    engine: Engine<P>,
    store: Box<dyn Store>,
    clients: Option<Clients>,
    /// What the engine asks for.
    effect: Option<Effect>,
    next_tick: Instant,
    passed: Marks,
    /// How often in a row it has failed.
    failures: u32,
    meter: LoopMeter,
    status: watch::Sender<ThreadStatus>,
}

/// Run `processor` on a thread of its own until `stop` is cancelled. Kafka, its topics and the
/// registry may come later, and go and come back.
pub fn spawn_processor<P: Processor + 'static>(
    settings: ConsumerSettings,
    processor: P,
    store: Box<dyn Store>,
    codec: Codec,
    stop: CancellationToken,
) -> ThreadHandle {
    spawn(settings.name, move |status| {
        TransactionalDriver::new(settings, processor, store, codec, status).run(&stop)
    })
}

impl<P: Processor> TransactionalDriver<P> {
    /// A driver that has not begun; it keeps `status` up to date.
    pub fn new(
        settings: ConsumerSettings,
        processor: P,
        store: Box<dyn Store>,
        codec: Codec,
        status: watch::Sender<ThreadStatus>,
    ) -> Self {
        let engine = Engine::new(processor, codec).named(settings.name);
        let next_tick = Instant::now();
        let passed = Marks::new(settings.name);
        let (clients, effect, failures) = (None, None, 0);
        let meter = LoopMeter::new(&settings, &engine.processor().inputs(), &status);
        Self {
            settings,
            engine,
            store,
            clients,
            effect,
            next_tick,
            passed,
            failures,
            meter,
            status,
        }
    }

    fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut pause = Pause::new(self.settings.name, self.status.clone());
        pause.until_the_time_is_known(stop);
        let mut effect = self.first_effect();
        loop {
            let event = match effect {
                // Only between two batches: what was begun is ended.
                Effect::Poll | Effect::BackOff { .. } if stop.is_cancelled() => return Ok(()),
                Effect::BackOff { cause } => {
                    pause.wait(&cause, stop);
                    self.look_for_help();
                    Event::Proceed
                }
                Effect::Stop(error) => return Err(error),
                Effect::Poll => {
                    if self.engine.trouble().is_none() {
                        self.failures = 0;
                        pause.over();
                        let partitions = self.engine.partitions().collect();
                        at_work(&self.status, partitions, self.remarks());
                    }
                    self.perform(Effect::Poll)
                }
                other => self.perform(other),
            };
            effect = self.tell(event);
        }
    }

    /// One batch: poll, decide, commit. Tests call it, without a wait for the back-off.
    ///
    /// # Errors
    /// What went wrong; the next step goes on where it can.
    pub fn step(&mut self) -> anyhow::Result<Step> {
        let mut effect = match self.effect.take() {
            Some(effect) => effect,
            None => self.first_effect(),
        };
        let (mut has_polled, mut handled) = (false, 0);
        loop {
            let event = match effect {
                Effect::Poll if has_polled => {
                    self.effect = Some(Effect::Poll);
                    return Ok(if handled == 0 { Step::Idle } else { Step::Processed(handled) });
                }
                Effect::BackOff { cause } => {
                    self.look_for_help();
                    self.effect = Some(self.tell(Event::Proceed));
                    return Err(anyhow!(cause));
                }
                Effect::Stop(error) => return Err(error),
                other => {
                    has_polled |= matches!(other, Effect::Poll);
                    self.perform(other)
                }
            };
            if let Event::Polled(polled) = &event {
                handled = polled.records.len();
            }
            effect = self.tell(event);
        }
    }

    /// What fails again and again may be a record that an operator has passed by in the meantime.
    fn look_for_help(&mut self) {
        self.failures += 1;
        if self.clients.is_some() && self.failures.is_multiple_of(LOOK_EVERY) {
            // It is for a processor that stands still: if Kafka is away, its next call says so.
            let _ = self.learn();
        }
    }

    fn remarks(&self) -> Vec<String> {
        let reader = self.clients.as_ref().map(|clients| clients.reader.remarks());
        reader.into_iter().flatten().chain(self.engine.remarks().iter().cloned()).collect()
    }

    fn learn(&mut self) -> anyhow::Result<()> {
        let news = self.passed.news(&self.settings.bootstrap, &self.settings.member())?;
        self.engine.pass_by(news);
        Ok(())
    }

    fn first_effect(&mut self) -> Effect {
        self.tell(Event::Proceed)
    }

    fn tell(&mut self, event: Event) -> Effect {
        let is_committed = matches!(event, Event::Committed { .. });
        let effect = self.engine.next(event, Timestamp::now(), &*self.store);
        if is_committed && matches!(effect, Effect::Poll) {
            // A processor without state has nothing to apply.
            failpoint::reached("applied");
        }
        effect
    }

    fn perform(&mut self, effect: Effect) -> Event {
        let asked = self.meter.asked(&effect);
        let event = self.attempt(effect).unwrap_or_else(|Failed { class, error }| {
            if class == Class::Retriable {
                pause_briefly();
            }
            Event::Failed(class, error)
        });
        self.meter.answered(&asked, &event);
        event
    }

    fn attempt(&mut self, effect: Effect) -> Result<Event, Failed> {
        match effect {
            Effect::Connect => self.connect(),
            Effect::Disconnect => {
                self.clients = None;
                Ok(Event::Disconnected)
            }
            Effect::Poll => self.poll(),
            Effect::FetchOffsets { partition } => {
                let reader = &mut self.clients()?.reader;
                let committed = reader.committed(partition).map_err(Failed::fatal)?;
                let starts = self.log()?.overtaken(&committed).map_err(Failed::fatal)?;
                Ok(match starts.is_empty() {
                    true => Event::Offsets(committed),
                    false => Event::Overtaken { committed, starts },
                })
            }
            Effect::FetchEnd { topic, partition } => {
                let end = self.log()?.stable_end(topic, partition);
                Ok(Event::End(end.map_err(Failed::fatal)?))
            }
            Effect::FetchReached { group, topic, partition } => {
                let address = Address { topic: topic.to_owned(), partition, offset: 0 };
                let reached = committed(&self.settings.bootstrap, group, &address);
                Ok(Event::End(reached.map_err(Failed::fatal)?))
            }
            Effect::Read { topic, partition, from, to } => {
                let read = self.log()?.read(&topic, partition, from, to, RESTORE_RECORDS_MAX);
                let (records, next) = read.map_err(Failed::fatal)?;
                Ok(Event::Read { records, next })
            }
            Effect::Apply(apply) => self.apply(apply),
            Effect::Clear { partition } => {
                self.store.clear(partition).map_err(Failed::fatal)?;
                Ok(Event::Cleared)
            }
            Effect::Seek(offsets) => {
                self.clients()?.reader.seek(&offsets).map_err(Failed::fatal)?;
                Ok(Event::Sought)
            }
            Effect::CommitOffsets(offsets) => {
                self.clients()?.reader.commit(&offsets).map_err(Failed::fatal)?;
                self.committed(false)
            }
            transactional => self.transact(transactional),
        }
    }

    fn transact(&mut self, effect: Effect) -> Result<Event, Failed> {
        if let Effect::Renew = effect {
            return self.renew();
        }
        let doubt_after = self.settings.doubt_after;
        let Clients { reader, producer, deliveries, .. } = self.clients()?;
        match effect {
            Effect::Begin => {
                failpoint::reached("decided");
                producer.begin_transaction().map_err(Failed::of)?;
                deliveries.begin();
                Ok(Event::Begun)
            }
            Effect::Send(outgoing) => {
                for message in &outgoing {
                    send(producer, deliveries, message).map_err(|error| lost(producer, error))?;
                }
                let delivered: Result<Offsets, _> = deliveries.wait();
                let delivered = delivered.map_err(|error| {
                    lost(producer, anyhow!("a record was not delivered: {error}"))
                })?;
                failpoint::reached("sent");
                Ok(Event::Delivered(delivered))
            }
            Effect::SendOffsets(offsets) => {
                let list = to_list(&offsets).map_err(Failed::fatal)?;
                let group = reader.group_metadata().map_err(Failed::fatal)?;
                let sent = producer.send_offsets_to_transaction(&list, &group, CALL_TIMEOUT);
                sent.map_err(Failed::of)?;
                failpoint::reached("offsets-sent");
                Ok(Event::OffsetsAccepted)
            }
            Effect::Commit => {
                let begun = Instant::now();
                producer.commit_transaction(CALL_TIMEOUT).map_err(Failed::of)?;
                let doubtful = begun.elapsed() >= doubt_after;
                self.committed(doubtful)
            }
            Effect::Abort => {
                let begun = Instant::now();
                producer.abort_transaction(CALL_TIMEOUT).map_err(Failed::of)?;
                Ok(Event::Aborted { doubtful: begun.elapsed() >= doubt_after })
            }
            other => unreachable!("{other:?} is not about a transaction"),
        }
    }

    /// librdkafka takes one `init_transactions` per producer, so a new epoch is a new producer. The
    /// old one is fenced by it.
    fn renew(&mut self) -> Result<Event, Failed> {
        let (producer, deliveries) = fencing_producer(&self.settings)?;
        let clients = self.clients()?;
        (clients.producer, clients.deliveries) = (producer, deliveries);
        Ok(Event::Renewed)
    }

    fn committed(&mut self, doubtful: bool) -> Result<Event, Failed> {
        failpoint::reached("committed");
        Ok(Event::Committed { doubtful })
    }

    fn clients(&mut self) -> Result<&mut Clients, Failed> {
        self.clients.as_mut().ok_or_else(not_connected)
    }

    fn log(&mut self) -> Result<&mut LogReader, Failed> {
        let (bootstrap, client) =
            (self.settings.bootstrap.clone(), format!("{}-restore", self.settings.member()));
        let clients = self.clients()?;
        if clients.log.is_none() {
            clients.log = Some(LogReader::new(&bootstrap, &client).map_err(Failed::fatal)?);
        }
        Ok(clients.log.as_mut().expect("it was made just now"))
    }

    /// Join the group and fence our predecessor.
    fn connect(&mut self) -> Result<Event, Failed> {
        self.store.open().map_err(Failed::fatal)?;
        let outputs = self.engine.processor().outputs();
        self.engine.codec().warm_up(&outputs).map_err(|error| match error {
            RegistryError::Incompatible { .. } => {
                Failed { class: Class::Final, error: error.into() }
            }
            other => Failed::fatal(other),
        })?;
        // First the fence, then the group: once it stands, nothing of a former self can be open.
        let (producer, deliveries) = fencing_producer(&self.settings)?;
        self.learn().map_err(Failed::fatal)?;
        let processor = self.engine.processor();
        let sources = processor.sources().into_iter().map(|source| source.topic);
        let letters = <P::Identity as Service>::dead_letters();
        let besides = processor.outputs().into_iter().chain(sources).chain([letters]);
        let besides: Vec<_> = besides.collect();
        let lags = self.meter.lags();
        let reader = GroupReader::join(&self.settings, processor.inputs(), &besides, lags);
        let reader = reader.map_err(Failed::to_join)?;
        self.clients = Some(Clients { reader, producer, deliveries, log: None });
        Ok(Event::Connected)
    }

    fn poll(&mut self) -> Result<Event, Failed> {
        let tick = Instant::now() >= self.next_tick;
        let Self { clients, engine, .. } = self;
        let clients = clients.as_mut().ok_or_else(not_connected)?;
        // A restore ends with the assignment that it was for.
        clients.log = None;
        let is_awaited = |record: &Record| engine.processor().is_awaited(record);
        let mut polled = clients.reader.poll(is_awaited).map_err(Failed::fatal)?;
        polled.tick = tick;
        if tick {
            self.next_tick = Instant::now() + TICK;
        }
        if !polled.records.is_empty() {
            failpoint::reached("polled");
        }
        Ok(Event::Polled(polled))
    }

    fn apply(&mut self, apply: streams::engine::Apply) -> Result<Event, Failed> {
        let streams::engine::Apply { partition, writes, positions } = apply;
        self.store.apply(partition, writes, &positions).map_err(Failed::fatal)?;
        let is_restored = self.engine.partitions().any(|known| known == partition);
        failpoint::reached(if is_restored { "applied" } else { "restoring" });
        Ok(Event::Applied)
    }
}

fn not_connected() -> Failed {
    Failed::fatal(anyhow!("not connected"))
}

/// A producer that has fenced every other one with the processor's transactional id.
fn fencing_producer(
    settings: &ConsumerSettings,
) -> Result<(Polled<WriterContext>, WriterContext), Failed> {
    let (member, deliveries) = (settings.member(), WriterContext::default());
    let config = producer_config(&settings.bootstrap, &member, Some(&member));
    let producer = config.and_then(|config| Ok(config.create_with_context(deliveries.clone())?));
    let producer: Polled<WriterContext> = producer.map_err(Failed::fatal)?;
    let fenced = producer.init_transactions(CALL_TIMEOUT);
    fenced
        .map_err(|error| deliveries.heard().explain(error))
        .with_context(|| format!("Kafka at {}", settings.bootstrap))
        .map_err(Failed::fatal)?;
    Ok((producer, deliveries))
}

/// A record was not taken: the transaction must be aborted, or the producer is lost.
fn lost(producer: &Polled<WriterContext>, error: anyhow::Error) -> Failed {
    let fatal = producer.client().fatal_error().is_some();
    let class = if fatal { Class::Fatal } else { Class::Abortable };
    Failed { class, error }
}

fn send(
    producer: &Polled<WriterContext>,
    deliveries: &WriterContext,
    outgoing: &Outgoing,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    let mut message = to_message(outgoing);
    loop {
        deliveries.sent();
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if Instant::now() < deadline =>
            {
                deliveries.unsent();
                message = back;
                pause_briefly();
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
