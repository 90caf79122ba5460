//! The intake of payments, as one process runs it. Compare `streams/src/kafka/ledger.rs`.

use crate::{
    faults::Fault,
    kafka::{Membership, Topic},
    payments::{at_once, database::Connection},
    sim::{Actor, Progress, Sim},
};
use contracts::{Timestamp, topics::ORDERS};
use payments::{database::Place, processor::PaymentsIntake};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use streams::{Codec, Failure, Record};

const GROUP: &str = "payments";
const BACKOFF: Duration = Duration::from_millis(50);
const BATCH_MAX: usize = 64;

struct Reader {
    membership: Membership,
    owned: BTreeSet<i32>,
    unclaimed: BTreeSet<i32>,
    positions: BTreeMap<i32, i64>,
}

/// One instance's intake.
pub(crate) struct Intake {
    instance: u32,
    name: String,
    topic: Topic,
    reader: Option<Reader>,
    codec: Codec,
    service: PaymentsIntake,
    /// Wakes the supervisor.
    work: Rc<Cell<bool>>,
    batch: Vec<Record>,
    wait_until: Timestamp,
}

impl Intake {
    pub(crate) fn new(sim: &Sim, instance: u32, work: Rc<Cell<bool>>) -> Self {
        Self {
            instance,
            name: format!("payments-{instance}"),
            topic: sim.kafka.topic(ORDERS.name()),
            reader: None,
            codec: sim.codec.clone(),
            service: PaymentsIntake::new(sim.codec.clone()),
            work,
            batch: Vec::new(),
            wait_until: Timestamp::default(),
        }
    }

    fn take_assignment(&mut self, sim: &mut Sim) -> bool {
        let known = self.reader.as_ref().map(|reader| reader.membership);
        let polled = known.and_then(|membership| sim.kafka.group(GROUP).poll(membership));
        let (membership, owned) = match polled {
            Some((membership, _)) if Some(membership) == known => return false,
            Some(polled) => polled,
            None => {
                let membership = sim.kafka.group(GROUP).join(self.instance, &mut sim.dice);
                let polled = sim.kafka.group(GROUP).poll(membership);
                polled.expect("who has just joined is a member")
            }
        };
        sim.note(&self.name, None, || format!("owns partitions {owned:?}"));
        let unclaimed = owned.clone();
        self.reader = Some(Reader { membership, owned, unclaimed, positions: BTreeMap::new() });
        true
    }

    /// Make the offsets of fresh partitions ours.
    fn claim(&mut self, sim: &mut Sim) -> Option<Progress> {
        let reader = self.reader.as_mut().filter(|reader| !reader.unclaimed.is_empty())?;
        let place = |partition: &i32| (ORDERS.name().to_owned(), *partition);
        let places: Vec<Place> = reader.unclaimed.iter().map(place).collect();
        let mut database = Connection::new(sim, &self.name);
        let claimed = at_once(self.service.claim(&mut database, &places));
        if database.died {
            return Some(Progress::Died);
        }
        match claimed {
            Ok(claimed) => {
                let offset = |((_, partition), next): (Place, i64)| (partition, next);
                reader.positions.extend(claimed.into_iter().map(offset));
                reader.unclaimed.clear();
            }
            Err(failure) => {
                sim.note(&self.name, None, || format!("waits: {failure}"));
                self.wait_until = sim.now + BACKOFF;
            }
        }
        Some(Progress::Moved)
    }

    fn poll(&mut self, sim: &mut Sim) {
        let Some(reader) = &mut self.reader else { return };
        for partition in &reader.owned {
            let Some(position) = reader.positions.get_mut(partition) else { continue };
            let max = sim.dice.usize(0..=BATCH_MAX);
            let (records, next) = sim.kafka.read(self.topic, *partition, *position, max);
            self.batch.extend(records.into_iter().cloned());
            *position = next;
        }
    }

    /// One SQL transaction.
    fn apply(&mut self, sim: &mut Sim, batch: &[Record]) -> Progress {
        let read = self.service.read(batch).expect("a registry in memory answers");
        let now = sim.now;
        let mut database = Connection::new(sim, &self.name);
        let applied = at_once(self.service.apply(&mut database, &read, now));
        if database.died {
            return Progress::Died;
        }
        match applied {
            Ok(calls_for_work) => self.work.set(self.work.get() || calls_for_work),
            Err(Failure::Fatal(cause)) => {
                sim.note(&self.name, None, || format!("{cause:#}"));
                self.reader = None;
                self.wait_until = sim.now + BACKOFF;
            }
            Err(failure) => self.again(sim, batch, &failure.to_string()),
        }
        Progress::Moved
    }

    fn again(&mut self, sim: &mut Sim, batch: &[Record], why: &str) {
        sim.note(&self.name, None, || format!("takes its batch again: {why}"));
        self.wait_until = sim.now + BACKOFF;
        if let Some(reader) = &mut self.reader {
            for record in batch.iter().rev() {
                reader.positions.insert(record.partition, record.offset);
            }
        }
    }
}

impl Actor for Intake {
    fn group(&self) -> Option<&'static str> {
        Some(GROUP)
    }

    fn step(&mut self, sim: &mut Sim) -> Progress {
        if sim.now < self.wait_until {
            return Progress::Idle;
        }
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            if sim.strikes(Fault::CrashAfterPoll, &self.name) {
                return Progress::Died;
            }
            return self.apply(sim, &batch);
        }
        if self.take_assignment(sim) {
            return Progress::Moved;
        }
        if let Some(progress) = self.claim(sim) {
            return progress;
        }
        self.poll(sim);
        sim.note_polled(&self.name, &self.batch);
        if self.batch.is_empty() { Progress::Idle } else { Progress::Moved }
    }

    fn die(&mut self, _: &Sim, _: bool) {
        self.reader = None;
        self.service = PaymentsIntake::new(self.codec.clone());
        self.batch.clear();
        self.wait_until = Timestamp::default();
    }
}
