//! [`Stage`]: drives the [`Engine`] of a transactional processor on the modelled Kafka, one effect
//! at a time, so that others move between any two of them. What to do, the engine says; here is
//! what each effect does to the model, and what may go wrong with it.

use crate::{
    faults::{self, Fault},
    kafka::{Consumer, Refusal, Topic},
    mutation,
    process::{Actor, Progress},
    sim::Sim,
};
use std::{collections::BTreeSet, time::Duration};
use streams::{
    Effect, Engine, Event, MemoryStore, Outgoing, Processor, Store, Timestamp,
    engine::{Apply, Class, Offsets},
    limits::{RESTORE_RECORDS_MAX, TICK},
    store::{Positions, Writes},
};

/// Longest wait after a failure.
pub(crate) const BACKOFF_MAX_MS: u64 = 400;

/// What the clients know.
struct Clients {
    epoch: u32,
    consumer: Consumer,
}

/// Records on their way.
struct Sending {
    outgoing: Vec<Outgoing>,
    sent: usize,
    delivered: Offsets,
}

/// A processor of one instance.
pub struct Stage<P> {
    name: &'static str,
    instance: u32,
    id: String,
    batch_max: usize,
    make: Box<dyn Fn() -> P>,
    engine: Engine<P>,
    store: MemoryStore,
    inputs: Vec<Topic>,
    clients: Option<Clients>,
    /// What the engine asks for.
    effect: Effect,
    /// What was polled at a step: the engine hears of it at the next.
    polled: Option<(Event, u64)>,
    sending: Option<Sending>,
    /// Mutation: partitions that were ours once.
    remembered: BTreeSet<i32>,
    /// Where the group was when the restore at hand began.
    committed: Offsets,
    next_tick: Timestamp,
    wait_until: Timestamp,
}

impl<P: Processor> Stage<P> {
    /// The processor `name` of an instance; each life of its process makes a processor of its own,
    /// which reads `batch_max` records at a time at most.
    pub fn new(
        sim: &Sim,
        name: &'static str,
        instance: u32,
        batch_max: usize,
        make: impl Fn() -> P + 'static,
    ) -> Self {
        let processor = make();
        let inputs = processor.inputs().iter().map(|topic| sim.kafka.topic(topic.name)).collect();
        let store = MemoryStore::default();
        let mut engine = Engine::new(processor, sim.codec.clone());
        let effect = engine.next(Event::Proceed, sim.now, &store);
        Self {
            name,
            instance,
            id: format!("{name}-{instance}"),
            batch_max,
            make: Box::new(make),
            engine,
            store,
            inputs,
            clients: None,
            effect,
            polled: None,
            sending: None,
            remembered: BTreeSet::new(),
            committed: Offsets::new(),
            next_tick: Timestamp::default(),
            wait_until: Timestamp::default(),
        }
    }

    /// Tell the engine what has happened; it decides, and processors do what they do meanwhile.
    fn tell(&mut self, sim: &mut Sim, event: Event, polled_at: u64) -> Progress {
        sim.outside.begin(sim.now, sim.step, polled_at);
        self.effect = self.engine.next(event, sim.here, &self.store);
        for (about, what) in sim.outside.take_notes() {
            sim.note(&self.id, about, || what);
        }
        if sim.outside.died() {
            return Progress::Died;
        }
        let is_decided =
            matches!(self.effect, Effect::Begin | Effect::Renew | Effect::CommitOffsets(_));
        if is_decided && sim.strikes(faults::CRASH_AFTER_DECIDE, &self.id) {
            return Progress::Died;
        }
        if let (Effect::Begin, true) = (&self.effect, sim.has(mutation::STATE_BEFORE_COMMIT)) {
            self.apply_early();
        }
        Progress::Moved
    }

    /// Mutation: the store knows before Kafka does.
    fn apply_early(&mut self) {
        for (partition, writes) in &self.engine.decided().writes {
            let applied = self.store.apply(*partition, writes.clone(), &Positions::new());
            applied.expect("memory does not fail");
        }
    }

    fn perform(&mut self, sim: &mut Sim) -> Progress {
        let effect = std::mem::replace(&mut self.effect, Effect::Poll);
        if let Some(fault) = crash_before(&effect)
            && sim.strikes(fault, &self.id)
        {
            return Progress::Died;
        }
        let event = match effect {
            Effect::Poll => return self.poll(sim),
            Effect::Send(outgoing) => {
                self.sending = Some(Sending { outgoing, sent: 0, delivered: Offsets::new() });
                return self.send(sim);
            }
            Effect::BackOff { cause } => {
                sim.note(&self.id, None, || format!("waits: {cause}"));
                self.wait_until =
                    sim.now + Duration::from_millis(sim.dice.u64(50..=BACKOFF_MAX_MS));
                Event::Proceed
            }
            Effect::Stop(error) => panic!("{}: {error:#}", self.id),
            Effect::Connect => self.connect(sim),
            Effect::Disconnect => {
                self.clients = None;
                Event::Disconnected
            }
            Effect::Apply(apply) => self.apply(sim, apply),
            Effect::Clear { partition } => self.clear(sim, partition),
            reading @ (Effect::FetchOffsets { .. }
            | Effect::FetchEnd { .. }
            | Effect::FetchReached { .. }
            | Effect::Read { .. }) => self.look_up(sim, reading),
            transactional => self.transact(sim, transactional),
        };
        self.tell(sim, event, sim.step)
    }

    /// First the store, then the fence, then the group.
    fn connect(&mut self, sim: &mut Sim) -> Event {
        if sim.strikes(faults::STORE_CLOSED, &self.id) {
            return Event::Failed(Class::Fatal, anyhow::anyhow!("the store cannot be opened"));
        }
        let epoch = sim.kafka.init_transactions(&self.id);
        let (kafka, dice) = (&mut sim.kafka, &mut sim.dice);
        let consumer = Consumer::join(kafka, dice, self.name, self.instance, self.inputs.clone());
        self.clients = Some(Clients { epoch, consumer });
        sim.note(&self.id, None, || "joins its group".to_owned());
        Event::Connected
    }

    /// Read a batch of any size. The engine hears of it at the next step.
    fn poll(&mut self, sim: &mut Sim) -> Progress {
        let clients = self.clients.as_mut().expect("the engine connects before it polls");
        if clients.consumer.is_overtaken(&sim.kafka) {
            let failed = anyhow::anyhow!("records were deleted");
            return self.tell(sim, Event::Failed(Class::Fatal, failed), sim.step);
        }
        let max = match sim.dice.u32(0..4) {
            0 => 1,
            1 => sim.dice.usize(1..=4),
            _ => self.batch_max.min(sim.dice.usize(1..=64)),
        };
        let mut polled = clients.consumer.poll(&mut sim.kafka, &mut sim.dice, max);
        polled.tick = sim.now >= self.next_tick;
        if polled.tick {
            self.next_tick = sim.now + TICK;
        }
        if !polled.assigned.is_empty() {
            let owned = &polled.owned;
            sim.note(&self.id, None, || format!("owns partitions {owned:?}"));
        }
        sim.note_polled(&self.id, &polled.records);
        if sim.has(mutation::FORGET_REVOCATION) {
            self.remembered.extend(&polled.owned);
            polled.assigned.retain(|partition| self.engine.partitions().all(|p| p != *partition));
            polled.owned.clone_from(&self.remembered);
        }
        let has_read = !polled.records.is_empty() || !polled.assigned.is_empty();
        if !has_read && !polled.tick {
            self.effect = Effect::Poll;
            return Progress::Idle;
        }
        self.polled = Some((Event::Polled(polled), sim.step));
        if has_read { Progress::Moved } else { self.hear(sim) }
    }

    /// The engine hears of what was polled. Idle if time alone has passed, and changes nothing.
    fn hear(&mut self, sim: &mut Sim) -> Progress {
        let Some((event, at)) = self.polled.take() else { return Progress::Idle };
        let is_tick = matches!(&event, Event::Polled(p) if p.records.is_empty());
        let progress = self.tell(sim, event, at);
        let is_idle = is_tick && matches!(self.effect, Effect::Poll);
        if progress == Progress::Moved && is_idle { Progress::Idle } else { progress }
    }

    fn look_up(&mut self, sim: &mut Sim, effect: Effect) -> Event {
        let clients = self.clients.as_ref().expect("the engine connects before it restores");
        let open = |what: String| Event::Failed(Class::Retriable, anyhow::anyhow!(what));
        match effect {
            Effect::FetchOffsets { partition } => {
                match clients.consumer.group_offsets(&sim.kafka, partition) {
                    Some(offsets) => {
                        self.committed.clone_from(&offsets);
                        let starts = sim.kafka.overtaken(&offsets);
                        match starts.is_empty() {
                            true => Event::Offsets(offsets),
                            false => Event::Overtaken { committed: offsets, starts },
                        }
                    }
                    None => open("a transaction with offsets is pending".into()),
                }
            }
            Effect::FetchEnd { topic, partition } => {
                let short = sim.has(mutation::SHORT_RESTORE);
                let short = short.then(|| self.committed.get(&(topic.to_owned(), partition)));
                match (short.flatten(), sim.kafka.decided_end(sim.kafka.topic(topic), partition)) {
                    (Some(committed), _) => Event::End(*committed),
                    (None, Some(end)) => Event::End(end),
                    (None, None) => open(format!("{topic}/{partition} has a transaction open")),
                }
            }
            Effect::FetchReached { group, topic, partition } => {
                let topics = [sim.kafka.topic(topic)];
                match sim.kafka.group_offsets(group, &topics, partition) {
                    Some(offsets) => Event::End(offsets.into_values().next().unwrap_or(0)),
                    None => open("a transaction with offsets is pending".into()),
                }
            }
            Effect::Read { topic, partition, from, to } => {
                let max = sim.dice.usize(1..=RESTORE_RECORDS_MAX.min(64));
                let (read, next) = sim.kafka.read(sim.kafka.topic(&topic), partition, from, max);
                let read = read.into_iter().take_while(|record| record.offset < to);
                Event::Read { records: read.cloned().collect(), next: next.min(to) }
            }
            other => unreachable!("{other:?} reads nothing"),
        }
    }

    fn transact(&mut self, sim: &mut Sim, effect: Effect) -> Event {
        let id = &self.id;
        let Clients { epoch, consumer } =
            self.clients.as_mut().expect("the engine connects before it sends");
        let epoch_now = *epoch;
        match effect {
            Effect::Renew => {
                if !sim.has(mutation::REUSE_PRODUCER) {
                    *epoch = sim.kafka.init_transactions(id);
                }
                sim.note(id, None, || "gets a new epoch".to_owned());
                Event::Renewed
            }
            Effect::Begin => match sim.kafka.begin(id, epoch_now, sim.now) {
                Ok(()) => Event::Begun,
                Err(refusal) => refused(refusal),
            },
            Effect::SendOffsets(offsets) => {
                let accepted = if sim.has(mutation::OFFSETS_APART) {
                    consumer.commit(&mut sim.kafka, offsets)
                } else {
                    consumer.send_offsets(&mut sim.kafka, (id, epoch_now), offsets)
                };
                match accepted {
                    Ok(()) => Event::OffsetsAccepted,
                    Err(_) if sim.has(mutation::COMMIT_FENCED) => Event::OffsetsAccepted,
                    Err(refusal) => refused(refusal),
                }
            }
            Effect::CommitOffsets(offsets) => match consumer.commit(&mut sim.kafka, offsets) {
                Ok(()) => Event::Committed { doubtful: false },
                Err(refusal) => Event::Failed(Class::Fatal, anyhow::anyhow!("{refusal:?}")),
            },
            Effect::Commit => self.commit(sim, epoch_now),
            Effect::Abort => match sim.kafka.abort(id, epoch_now) {
                Ok(()) => Event::Aborted { doubtful: false },
                Err(refusal) => refused(refusal),
            },
            Effect::Seek(offsets) => {
                sim.note(id, None, || "takes its batch again".to_owned());
                if !sim.has(mutation::NO_REWIND) {
                    consumer.seek(&sim.kafka, offsets);
                }
                Event::Sought
            }
            other => unreachable!("{other:?} is not about a transaction"),
        }
    }

    fn commit(&self, sim: &mut Sim, epoch: u32) -> Event {
        let again = |why: &str| Event::Failed(Class::Retriable, anyhow::anyhow!(why.to_owned()));
        // The mutation shows only where this happens.
        let sought = sim.has(mutation::REUSE_PRODUCER) && sim.dice.u32(0..20) == 0;
        if sought || sim.strikes(faults::COMMIT_DELAYED, &self.id) {
            // The request is on its way; the client loses its patience, and sends another one.
            sim.kafka.delay_commit(&self.id, epoch);
            return again("the connection is lost");
        }
        if let Err(refusal) = sim.kafka.commit(&self.id, epoch) {
            return refused(refusal);
        }
        sim.note(&self.id, None, || "commits".to_owned());
        if !sim.strikes(faults::SLOW_MARKERS, &self.id) {
            sim.kafka.complete(&self.id);
        }
        if sim.strikes(faults::COMMIT_UNKNOWN, &self.id) {
            return match sim.dice.bool() {
                true => again("the answer is lost"),
                false => Event::Failed(Class::Fatal, anyhow::anyhow!("there is no answer")),
            };
        }
        Event::Committed { doubtful: false }
    }

    /// Send some more.
    fn send(&mut self, sim: &mut Sim) -> Progress {
        let Some(mut sending) = self.sending.take() else { return Progress::Idle };
        let epoch = self.clients.as_ref().map_or(0, |clients| clients.epoch);
        let all = sending.outgoing.len();
        // A request that is late does harm where a part is sent: so the parts are small then.
        let is_torn = sim.kafka.is_late(&self.id, epoch);
        let until = match sim.dice.bool() {
            _ if is_torn => all.min(sending.sent + 1),
            true => all,
            false => sim.dice.usize(sending.sent..=all),
        };
        for outgoing in &sending.outgoing[sending.sent..until] {
            if sim.strikes(faults::SEND_FAILS, &self.id) {
                let failed = anyhow::anyhow!("a record was not taken");
                return self.tell(sim, Event::Failed(Class::Abortable, failed), sim.step);
            }
            let offset = match self.send_one(sim, epoch, outgoing) {
                Ok(offset) => offset,
                Err(refusal) => return self.tell(sim, refused(refusal), sim.step),
            };
            sim.note_sent(&self.id, outgoing, (outgoing.partition, offset));
            let place = (outgoing.topic.to_owned(), outgoing.partition);
            sending.delivered.insert(place, offset);
            sending.sent += 1;
        }
        if sending.sent == sending.outgoing.len() {
            return self.tell(sim, Event::Delivered(sending.delivered), sim.step);
        }
        self.sending = Some(sending);
        Progress::Moved
    }

    fn send_one(&self, sim: &mut Sim, epoch: u32, outgoing: &Outgoing) -> Result<i64, Refusal> {
        let (outgoing, now) = (outgoing.clone(), sim.now);
        match sim.has(mutation::NO_TRANSACTIONS) {
            true => Ok(sim.kafka.send_alone(outgoing, now)),
            false => sim.kafka.send(&self.id, epoch, outgoing, now),
        }
    }

    fn apply(&mut self, sim: &mut Sim, apply: Apply) -> Event {
        let Apply { partition, writes, positions } = apply;
        if sim.strikes(faults::STORE_FAILS, &self.id) {
            return Event::Failed(Class::Fatal, anyhow::anyhow!("the disk is full"));
        }
        self.store.apply(partition, writes, &positions).expect("memory does not fail");
        if sim.strikes(faults::STORE_ROTS, &self.id) {
            self.rot(sim, partition);
        }
        Event::Applied
    }

    fn clear(&mut self, sim: &mut Sim, partition: i32) -> Event {
        sim.note(&self.id, None, || format!("forgets the state of {partition}"));
        if sim.has(mutation::KEEP_STORE) {
            return Event::Cleared;
        }
        if sim.strikes(faults::STORE_LOST, &self.id) {
            self.store = MemoryStore::default();
            return Event::Failed(Class::Fatal, anyhow::anyhow!("the store is lost"));
        }
        self.store.clear(partition).expect("memory does not fail");
        Event::Cleared
    }

    /// A stored value cannot be read any more.
    fn rot(&mut self, sim: &mut Sim, partition: i32) {
        let stored = self.store.range(partition, &[0], &[255], usize::MAX);
        let stored = stored.expect("memory does not fail");
        if let Some((key, _)) = sim.dice.choice(&stored) {
            let rotten = Writes::from([(key.clone(), Some(Vec::new()))]);
            let rotted = self.store.apply(partition, rotten, &Positions::new());
            rotted.expect("memory does not fail");
        }
    }
}

/// The crash that may come before an effect.
fn crash_before(effect: &Effect) -> Option<Fault> {
    match effect {
        Effect::SendOffsets(_) => Some(faults::CRASH_BEFORE_OFFSETS),
        Effect::Commit => Some(faults::CRASH_BEFORE_COMMIT),
        Effect::Apply(_) => Some(faults::CRASH_AFTER_COMMIT),
        Effect::Read { .. } | Effect::FetchEnd { .. } => Some(faults::CRASH_IN_RESTORE),
        _ => None,
    }
}

fn refused(refusal: Refusal) -> Event {
    let class = match refusal {
        Refusal::Fenced => Class::Fatal,
        Refusal::IllegalGeneration | Refusal::TooLarge => Class::Abortable,
    };
    Event::Failed(class, anyhow::anyhow!("{refusal:?}"))
}

impl<P: Processor, W> Actor<W> for Stage<P> {
    fn group(&self) -> Option<&'static str> {
        Some(self.name)
    }

    fn step(&mut self, sim: &mut Sim, _: &mut W) -> Progress {
        if sim.now < self.wait_until {
            return Progress::Idle;
        }
        if self.polled.is_some() {
            if sim.strikes(faults::CRASH_AFTER_POLL, &self.id) {
                return Progress::Died;
            }
            return self.hear(sim);
        }
        if self.sending.is_some() {
            if sim.strikes(faults::CRASH_WHILE_SENDING, &self.id) {
                return Progress::Died;
            }
            return self.send(sim);
        }
        self.perform(sim)
    }

    fn die(&mut self, sim: &Sim, disk_lost: bool) {
        if disk_lost {
            self.store = MemoryStore::default();
        }
        self.engine = Engine::new((self.make)(), sim.codec.clone());
        self.effect = self.engine.next(Event::Proceed, sim.now, &self.store);
        (self.clients, self.polled, self.sending) = (None, None, None);
        self.remembered.clear();
        self.next_tick = Timestamp::default();
        self.wait_until = Timestamp::default();
    }
}
