//! [`Stage`]: a transactional loop, cut into its steps. What it does in each of them is the code of
//! `streams` (decide, apply, restore); only the calls to Kafka go to the model. Compare
//! `streams/src/kafka/transactional.rs`.

use crate::{
    faults::Fault,
    kafka::{Membership, Refusal, Restoring, Topic},
    planted::Planted,
    sim::{Actor, Progress, Sim},
};
use contracts::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::{
    Failure, MemoryStore, Outgoing, Processor, Record,
    restore::restore,
    store::Positions,
    turn::{self, Decided, Offsets, first_offsets, next_offsets},
};

/// How often time acts on the partitions, as in the real loop.
const TICK: Duration = Duration::from_millis(200);

/// How long to wait after a failure.
const BACKOFF: Duration = Duration::from_millis(50);

/// Where a batch is on its way.
enum Phase {
    /// There is none.
    Idle,
    /// It was read at the step `at`; `tick`: time acts as well.
    Polled { batch: Vec<Record>, tick: bool, at: u64 },
    /// It was decided on; so many of its records are sent.
    Sending { batch: Vec<Record>, decided: Decided, sent: usize, delivered: Delivered },
    /// All is sent; the offsets are next.
    Sent { batch: Vec<Record>, decided: Decided, delivered: Delivered },
    /// The offsets are in the transaction.
    Ready { batch: Vec<Record>, decided: Decided, delivered: Delivered },
    /// It is committed; the store is next.
    Committed { batch: Vec<Record>, decided: Decided, delivered: Delivered },
}

type Delivered = BTreeMap<(String, i32), i64>;

/// What the clients know.
struct Clients {
    epoch: u32,
    membership: Membership,
    owned: BTreeSet<i32>,
    /// Given to us, and not restored yet.
    fresh: BTreeSet<i32>,
    /// The next record to read.
    positions: BTreeMap<(Topic, i32), i64>,
}

/// A loop of one instance.
pub(crate) struct Stage<P> {
    name: &'static str,
    instance: u32,
    id: String,
    batch_max: usize,
    make: Box<dyn Fn() -> P>,
    processor: P,
    store: MemoryStore,
    inputs: Vec<Topic>,
    clients: Option<Clients>,
    tasks: BTreeMap<i32, Positions>,
    phase: Phase,
    next_tick: Timestamp,
    wait_until: Timestamp,
}

impl<P: Processor> Stage<P> {
    /// The loop `name` of an instance; each life of its process makes a processor of its own.
    pub(crate) fn new(
        sim: &Sim,
        name: &'static str,
        instance: u32,
        batch_max: usize,
        make: impl Fn() -> P + 'static,
    ) -> Self {
        let processor = make();
        let inputs = processor.inputs().iter().map(|topic| sim.kafka.topic(topic.name)).collect();
        Self {
            name,
            instance,
            id: format!("{name}-{instance}"),
            batch_max,
            make: Box::new(make),
            processor,
            store: MemoryStore::default(),
            inputs,
            clients: None,
            tasks: BTreeMap::new(),
            phase: Phase::Idle,
            next_tick: Timestamp::default(),
            wait_until: Timestamp::default(),
        }
    }

    /// First the fence, then the group.
    fn connect(&mut self, sim: &mut Sim) -> Progress {
        let epoch = sim.kafka.init_transactions(&self.id);
        let membership = sim.kafka.group(self.name).join(self.instance, &mut sim.dice);
        let (owned, fresh) = (BTreeSet::new(), BTreeSet::new());
        self.clients =
            Some(Clients { epoch, membership, owned, fresh, positions: BTreeMap::new() });
        self.tasks.clear();
        sim.note(&self.id, None, || "joins its group".to_owned());
        // An assignment is news to a member that has none.
        self.take_assignment(sim, true);
        Progress::Moved
    }

    /// Serve what the group has decided since the last poll: eager, so all partitions at once.
    fn take_assignment(&mut self, sim: &mut Sim, joined: bool) {
        let Some(clients) = &mut self.clients else { return };
        let Some((membership, owned)) = sim.kafka.group(self.name).poll(clients.membership) else {
            // Thrown out: the client joins again by itself.
            clients.membership = sim.kafka.group(self.name).join(self.instance, &mut sim.dice);
            return self.take_assignment(sim, true);
        };
        if joined || clients.membership != membership {
            clients.membership = membership;
            clients.fresh.clone_from(&owned);
            clients.positions.clear();
            self.tasks.retain(|partition, _| owned.contains(partition));
            sim.note(&self.id, None, || format!("owns partitions {owned:?}"));
            clients.owned = owned;
        }
    }

    /// Restore one of the partitions that are new.
    fn settle(&mut self, sim: &mut Sim) -> Option<Progress> {
        let clients = self.clients.as_mut()?;
        let partition = clients.fresh.first().copied()?;
        let Some(committed) = sim.kafka.group_offsets(self.name, &self.inputs, partition) else {
            // A transaction is pending.
            self.wait_until = sim.now + BACKOFF;
            return Some(Progress::Moved);
        };
        // What it has read by then is in the store.
        let dies = sim.strikes(Fault::CrashInRestore, &self.id);
        let dies_after = dies.then(|| sim.dice.usize(0..=self.processor.sources().len()));
        let short = sim.is_planted(Planted::ShortRestore).then_some(&committed);
        let mut log = Restoring { kafka: &sim.kafka, short, dies_after };
        let (processor, codec) = (&mut self.processor, &sim.codec);
        let restored = match processor.sources().is_empty() {
            true => Ok(Positions::new()),
            false => {
                restore(processor, &self.store, codec, &mut log, partition, &committed, sim.now)
            }
        };
        match restored {
            _ if dies => return Some(Progress::Died),
            Ok(positions) => {
                clients.fresh.remove(&partition);
                for ((topic, partition), next) in committed {
                    clients.positions.insert((sim.kafka.topic(&topic), partition), next);
                }
                self.tasks.insert(partition, positions);
            }
            Err(error) => {
                sim.note(&self.id, None, || format!("cannot restore: {error:#}"));
                self.give_up(sim);
            }
        }
        Some(Progress::Moved)
    }

    /// Read a batch of any size from any of our partitions.
    fn poll(&mut self, sim: &mut Sim) -> Vec<Record> {
        let Some(clients) = &mut self.clients else { return Vec::new() };
        let mut places: Vec<(Topic, i32)> = clients.positions.keys().copied().collect();
        sim.dice.shuffle(&mut places);
        let mut left = match sim.dice.u32(0..4) {
            0 => 1,
            1 => sim.dice.usize(1..=4),
            _ => self.batch_max.min(sim.dice.usize(1..=64)),
        };
        let mut batch = Vec::new();
        for place in places {
            let Some(position) = clients.positions.get_mut(&place) else { continue };
            let readable = sim.kafka.readable_end(place.0, place.1);
            if left == 0 || *position >= readable {
                continue;
            }
            let max = sim.dice.usize(1..=left);
            let (records, next) = sim.kafka.read(place.0, place.1, *position, max);
            left -= records.len();
            batch.extend(records.into_iter().cloned());
            *position = next;
        }
        batch
    }

    fn decide(
        &mut self,
        sim: &mut Sim,
        batch: Vec<Record>,
        tick: bool,
        polled_at: u64,
    ) -> Progress {
        let ticked: Vec<i32> = if tick { self.tasks.keys().copied().collect() } else { Vec::new() };
        let (processor, now) = (&mut self.processor, sim.now);
        sim.effects.begin(now, sim.step, polled_at);
        let decided = turn::decide(processor, &self.store, &sim.codec, now, &batch, &ticked);
        for (orders, what) in sim.effects.take_notes() {
            sim.note(&self.id, orders, || what);
        }
        if sim.effects.died() || sim.strikes(Fault::CrashAfterDecide, &self.id) {
            return Progress::Died;
        }
        match decided {
            Ok(decided) if batch.is_empty() && decided.is_empty() => return Progress::Idle,
            Ok(decided) => {
                let delivered = Delivered::new();
                self.apply_early(sim, &decided);
                self.phase = Phase::Sending { batch, decided, sent: 0, delivered };
            }
            Err(Failure::Retriable(error)) => self.again(sim, &batch, &format!("{error:#}")),
            Err(failure) => {
                sim.note(&self.id, None, || format!("rebuilds: {failure}"));
                self.give_up(sim);
            }
        }
        Progress::Moved
    }

    /// Planted: the store knows before Kafka does.
    fn apply_early(&mut self, sim: &Sim, decided: &Decided) {
        if sim.is_planted(Planted::StateBeforeCommit) {
            let (processor, tasks, writes) =
                (&self.processor, &mut self.tasks, decided.writes.clone());
            turn::apply(processor, &self.store, tasks, writes, Offsets::new(), [])
                .expect("memory does not fail");
        }
    }

    /// Send some more.
    fn send(
        &mut self,
        sim: &mut Sim,
        batch: Vec<Record>,
        decided: Decided,
        mut sent: usize,
        mut delivered: Delivered,
    ) -> Progress {
        if decided.outgoing.is_empty() {
            return self.commit_offsets(sim, batch, decided);
        }
        let epoch = self.epoch();
        if sent == 0 && sim.kafka.begin(&self.id, epoch, sim.now).is_err() {
            return self.fenced(sim);
        }
        let until = match sim.dice.bool() {
            true => decided.outgoing.len(),
            false => sim.dice.usize(sent..=decided.outgoing.len()),
        };
        for outgoing in &decided.outgoing[sent..until] {
            if sim.strikes(Fault::SendFails, &self.id) {
                return self.abort(sim, &batch, "a record was not taken");
            }
            let offset = match self.send_one(sim, epoch, outgoing) {
                Ok(offset) => offset,
                Err(_) => return self.fenced(sim),
            };
            sim.note_sent(&self.id, outgoing, outgoing.partition, offset);
            delivered.insert((outgoing.topic.to_owned(), outgoing.partition), offset);
            sent += 1;
        }
        self.phase = match sent == decided.outgoing.len() {
            true => Phase::Sent { batch, decided, delivered },
            false => Phase::Sending { batch, decided, sent, delivered },
        };
        Progress::Moved
    }

    fn send_one(&self, sim: &mut Sim, epoch: u32, outgoing: &Outgoing) -> Result<i64, Refusal> {
        let (outgoing, now) = (outgoing.clone(), sim.now);
        match sim.is_planted(Planted::NoTransactions) {
            true => Ok(sim.kafka.send_alone(outgoing, now)),
            false => sim.kafka.send(&self.id, epoch, outgoing, now),
        }
    }

    /// A batch that has sent nothing commits its offsets alone.
    fn commit_offsets(&mut self, sim: &mut Sim, batch: Vec<Record>, decided: Decided) -> Progress {
        let offsets = next_offsets(&batch);
        if let Some(clients) = &self.clients
            && !offsets.is_empty()
            && sim.kafka.commit_offsets(self.name, clients.membership, offsets).is_err()
        {
            return self.fenced(sim);
        }
        self.phase = Phase::Committed { batch, decided, delivered: Delivered::new() };
        Progress::Moved
    }

    fn send_offsets(
        &mut self,
        sim: &mut Sim,
        batch: Vec<Record>,
        decided: Decided,
        delivered: Delivered,
    ) -> Progress {
        let Some(clients) = &self.clients else { return self.fenced(sim) };
        let (producer, membership) = ((&*self.id, clients.epoch), clients.membership);
        // What time alone has caused has no offsets of its own; the generation is checked all the same.
        let offsets = next_offsets(&batch);
        let taken = if sim.is_planted(Planted::OffsetsApart) {
            sim.kafka.commit_offsets(self.name, membership, offsets)
        } else {
            sim.kafka.send_offsets(producer, self.name, membership, offsets)
        };
        match taken {
            Ok(()) => {}
            Err(Refusal::IllegalGeneration) => {
                return self.abort(sim, &batch, "its generation is over");
            }
            Err(Refusal::Fenced) => return self.fenced(sim),
        }
        self.phase = Phase::Ready { batch, decided, delivered };
        Progress::Moved
    }

    fn commit(
        &mut self,
        sim: &mut Sim,
        batch: Vec<Record>,
        decided: Decided,
        delivered: Delivered,
    ) -> Progress {
        if sim.kafka.commit(&self.id, self.epoch()).is_err() {
            return self.fenced(sim);
        }
        let count = decided.outgoing.len();
        let orders = sim.orders_in(&decided.outgoing);
        sim.note(&self.id, orders, || format!("commits {count} records"));
        if !sim.strikes(Fault::SlowMarkers, &self.id) {
            sim.kafka.complete(&self.id);
        }
        if sim.strikes(Fault::CommitUnknown, &self.id) {
            self.give_up(sim);
            return Progress::Moved;
        }
        self.phase = Phase::Committed { batch, decided, delivered };
        Progress::Moved
    }

    fn apply(&mut self, batch: &[Record], decided: Decided, delivered: Delivered) -> Progress {
        let (processor, tasks) = (&self.processor, &mut self.tasks);
        let offsets = next_offsets(batch);
        turn::apply(processor, &self.store, tasks, decided.writes, offsets, delivered)
            .expect("memory does not fail");
        Progress::Moved
    }

    fn epoch(&self) -> u32 {
        self.clients.as_ref().map_or(0, |clients| clients.epoch)
    }

    /// Abort, and take the batch again.
    fn abort(&mut self, sim: &mut Sim, batch: &[Record], why: &str) -> Progress {
        if sim.kafka.abort(&self.id, self.epoch()).is_err() {
            return self.fenced(sim);
        }
        self.again(sim, batch, why);
        Progress::Moved
    }

    /// The clients are well, but the batch must come again.
    fn again(&mut self, sim: &mut Sim, batch: &[Record], why: &str) {
        sim.note(&self.id, None, || format!("takes its batch again: {why}"));
        self.processor.reset();
        self.wait_until = sim.now + BACKOFF;
        if let Some(clients) = &mut self.clients {
            for ((topic, partition), first) in first_offsets(batch) {
                let place = (sim.kafka.topic(&topic), partition);
                clients.positions.entry(place).and_modify(|position| *position = first);
            }
        }
    }

    fn fenced(&mut self, sim: &mut Sim) -> Progress {
        sim.note(&self.id, None, || "is fenced".to_owned());
        self.give_up(sim);
        Progress::Moved
    }

    /// Build clients and state anew.
    fn give_up(&mut self, sim: &Sim) {
        self.processor.reset();
        self.clients = None;
        self.tasks.clear();
        self.phase = Phase::Idle;
        self.wait_until = sim.now + BACKOFF;
    }
}

impl<P: Processor> Actor for Stage<P> {
    fn group(&self) -> Option<&'static str> {
        Some(self.name)
    }

    fn step(&mut self, sim: &mut Sim) -> Progress {
        if sim.now < self.wait_until {
            return Progress::Idle;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {
                if self.clients.is_none() {
                    return self.connect(sim);
                }
                self.take_assignment(sim, false);
                if let Some(progress) = self.settle(sim) {
                    return progress;
                }
                let (batch, tick) = (self.poll(sim), sim.now >= self.next_tick);
                if batch.is_empty() && !tick {
                    return Progress::Idle;
                }
                if tick {
                    self.next_tick = sim.now + TICK;
                }
                sim.note_polled(&self.id, &batch);
                if batch.is_empty() {
                    return self.decide(sim, batch, tick, sim.step);
                }
                self.phase = Phase::Polled { batch, tick, at: sim.step };
                Progress::Moved
            }
            Phase::Polled { batch, tick, at } => {
                if sim.strikes(Fault::CrashAfterPoll, &self.id) {
                    return Progress::Died;
                }
                self.decide(sim, batch, tick, at)
            }
            Phase::Sending { batch, decided, sent, delivered } => {
                if sent > 0 && sim.strikes(Fault::CrashWhileSending, &self.id) {
                    return Progress::Died;
                }
                self.send(sim, batch, decided, sent, delivered)
            }
            Phase::Sent { batch, decided, delivered } => {
                if sim.strikes(Fault::CrashBeforeOffsets, &self.id) {
                    return Progress::Died;
                }
                self.send_offsets(sim, batch, decided, delivered)
            }
            Phase::Ready { batch, decided, delivered } => {
                if sim.strikes(Fault::CrashBeforeCommit, &self.id) {
                    return Progress::Died;
                }
                self.commit(sim, batch, decided, delivered)
            }
            Phase::Committed { batch, decided, delivered } => {
                if sim.strikes(Fault::CrashAfterCommit, &self.id) {
                    return Progress::Died;
                }
                self.apply(&batch, decided, delivered)
            }
        }
    }

    fn die(&mut self, disk_lost: bool) {
        self.processor = (self.make)();
        self.clients = None;
        self.tasks.clear();
        self.phase = Phase::Idle;
        self.next_tick = Timestamp::default();
        self.wait_until = Timestamp::default();
        if disk_lost {
            self.store = MemoryStore::default();
        }
    }
}
