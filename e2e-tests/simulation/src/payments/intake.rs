//! The intake of payments: `orders` into the database. Compare `services/payments/src/intake.rs`
//! and `streams/src/kafka/ledger.rs`.

use crate::{
    faults::Fault,
    kafka::{Membership, Topic},
    planted::Planted,
    sim::{Actor, Progress, Sim},
};
use contracts::{Timestamp, topics::ORDERS};
use payments::{
    intake::{gather, orders_of, read},
    store::{changes::Changes, offsets::Place},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::Record;

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
    epochs: BTreeMap<Place, i64>,
    batch: Vec<Record>,
    wait_until: Timestamp,
}

impl Intake {
    pub(crate) fn new(sim: &Sim, instance: u32) -> Self {
        Self {
            instance,
            name: format!("payments-{instance}"),
            topic: sim.kafka.topic(ORDERS.name()),
            reader: None,
            epochs: BTreeMap::new(),
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
        if sim.strikes(Fault::SqlAway, &self.name) {
            self.wait_until = sim.now + BACKOFF;
            return Some(Progress::Moved);
        }
        let place = |partition: &i32| (ORDERS.name().to_owned(), *partition);
        let places: Vec<Place> = reader.unclaimed.iter().map(place).collect();
        for (place, position) in sim.payments.claim(&places) {
            reader.positions.insert(place.1, position.next_offset);
            self.epochs.insert(place, position.epoch);
        }
        reader.unclaimed.clear();
        sim.note(&self.name, None, || format!("claims {places:?}"));
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
        if sim.strikes(Fault::CrashBeforeSql, &self.name) {
            return Progress::Died;
        }
        if sim.strikes(Fault::SqlAway, &self.name) {
            return self.again(sim, batch, "Postgres does not answer");
        }
        let places: BTreeSet<Place> =
            batch.iter().map(|record| (record.topic.to_string(), record.partition)).collect();
        let mut positions = BTreeMap::new();
        for place in places {
            let known = sim.payments.offsets.get(&place).copied();
            let ours = known.is_some_and(|known| self.epochs.get(&place) == Some(&known.epoch));
            let unfenced = sim.is_planted(Planted::NoFencing);
            match known {
                Some(position) if ours || unfenced => positions.insert(place, position),
                _ => {
                    sim.note(&self.name, None, || "is fenced".to_owned());
                    self.reader = None;
                    self.wait_until = sim.now + BACKOFF;
                    return Progress::Moved;
                }
            };
        }
        let orders = batch.iter().map(|record| crate::read::record(&sim.codec, record).1);
        let orders = sim.trace.is_kept().then(|| orders.flatten().collect());
        let read = read(&sim.codec, batch).expect("a registry in memory answers");
        let mut changes = Changes::new(&sim.codec, sim.payments.rows(&orders_of(&read)));
        let next = gather(&mut changes, batch, read, &positions, sim.now);
        let next = next.expect("a registry in memory answers");
        let gathered = changes.gathered();
        if let Err(refused) = sim.payments.write(gathered, sim.now, &mut sim.dice) {
            return self.again(sim, batch, &refused);
        }
        sim.payments.offsets.extend(next);
        sim.note(&self.name, orders, || "commits in Postgres".to_owned());
        if sim.strikes(Fault::CrashAfterSql, &self.name) {
            return Progress::Died;
        }
        if sim.strikes(Fault::SqlUnknown, &self.name) {
            return self.again(sim, batch, "the answer to the commit is lost");
        }
        Progress::Moved
    }

    fn again(&mut self, sim: &mut Sim, batch: &[Record], why: &str) -> Progress {
        sim.note(&self.name, None, || format!("takes its batch again: {why}"));
        self.wait_until = sim.now + BACKOFF;
        if let Some(reader) = &mut self.reader {
            for record in batch.iter().rev() {
                reader.positions.insert(record.partition, record.offset);
            }
        }
        Progress::Moved
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
        self.epochs.clear();
        self.batch.clear();
        self.wait_until = Timestamp::default();
    }
}
