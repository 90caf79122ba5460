//! The intake of payments, as one process runs it: drives the [`FencedEngine`] on the modelled
//! Kafka and the service's intake on the modelled database, one effect at a time, so that others
//! move between any two of them.

use crate::{
    faults::Fault,
    payments::database::Line,
    sim::{Actor, Progress, Sim},
};
use contracts::{Timestamp, topics::ORDERS};
use payments::{
    memory::{Connection, at_once},
    processor::PaymentsIntake,
};
use std::{cell::Cell, rc::Rc, time::Duration};
use streams::{
    Failure, Record,
    engine::Class,
    fenced::{Effect, Event, FencedEngine},
};
use streams_sim::kafka::{Consumer, Topic};

const GROUP: &str = "payments";

/// Longest wait after a failure.
const BACKOFF_MAX_MS: u64 = 400;

const BATCH_MAX: usize = 64;

/// One instance's intake.
pub(crate) struct Intake {
    instance: u32,
    name: String,
    topic: Topic,
    life: Life,
    /// Wakes the supervisor.
    work: Rc<Cell<bool>>,
}

/// What is lost when the process dies.
struct Life {
    service: PaymentsIntake,
    engine: FencedEngine,
    /// What the engine asks for.
    effect: Effect,
    consumer: Option<Consumer>,
    wait_until: Timestamp,
}

impl Life {
    fn begin(sim: &Sim) -> Self {
        let mut engine = FencedEngine::new(&[&ORDERS.spec]);
        let effect = engine.next(Event::Proceed);
        let service = PaymentsIntake::new(sim.codec.clone());
        Self { service, engine, effect, consumer: None, wait_until: Timestamp::default() }
    }
}

impl Intake {
    pub(crate) fn new(sim: &Sim, instance: u32, work: Rc<Cell<bool>>) -> Self {
        let (name, topic) = (format!("payments-{instance}"), sim.kafka.topic(ORDERS.name()));
        Self { instance, name, topic, life: Life::begin(sim), work }
    }

    fn tell(&mut self, event: Event) -> Progress {
        self.life.effect = self.life.engine.next(event);
        Progress::Moved
    }

    /// Read a batch of any size.
    fn poll(&mut self, sim: &mut Sim) -> Progress {
        let consumer = self.life.consumer.as_mut().expect("the engine connects before it polls");
        let max = sim.dice.usize(1..=BATCH_MAX);
        let polled = consumer.poll(&mut sim.kafka, &mut sim.dice, max);
        if !polled.assigned.is_empty() {
            let owned = &polled.owned;
            sim.note(&self.name, None, || format!("owns partitions {owned:?}"));
        }
        sim.note_polled(&self.name, &polled.records);
        let is_idle = polled.records.is_empty() && polled.assigned.is_empty();
        self.tell(Event::Polled(polled));
        // A claim may be tried again, though nothing has come.
        if is_idle && matches!(self.life.effect, Effect::Poll) {
            return Progress::Idle;
        }
        Progress::Moved
    }

    fn claim(&mut self, sim: &mut Sim, places: &[(String, i32)]) -> Option<Event> {
        let mut database = Connection(Line::new(sim, &self.name));
        let claimed = at_once(self.life.service.claim(&mut database, places));
        (!database.0.died).then(|| claimed.map_or_else(failed, Event::Claimed))
    }

    /// One SQL transaction.
    fn apply(&mut self, sim: &mut Sim, batch: &[Record]) -> Option<Event> {
        let read = self.life.service.read(batch).expect("a registry in memory answers");
        let now = sim.now;
        let mut database = Connection(Line::new(sim, &self.name));
        let applied = at_once(self.life.service.apply(&mut database, &read, now));
        if database.0.died {
            return None;
        }
        Some(match applied {
            Ok(calls_for_work) => {
                self.work.set(self.work.get() || calls_for_work);
                Event::Applied
            }
            Err(failure) => failed(failure),
        })
    }

    /// What comes of an effect; none if the process dies.
    fn perform(&mut self, sim: &mut Sim, effect: Effect) -> Option<Event> {
        Some(match effect {
            Effect::Connect => {
                let (kafka, dice) = (&mut sim.kafka, &mut sim.dice);
                let topics = vec![self.topic];
                let consumer = Consumer::join(kafka, dice, GROUP, self.instance, topics);
                self.life.consumer = Some(consumer);
                sim.note(&self.name, None, || "joins its group".to_owned());
                Event::Connected
            }
            Effect::Disconnect => {
                self.life.consumer = None;
                Event::Disconnected
            }
            Effect::Claim(places) => return self.claim(sim, &places),
            Effect::Seek(offsets) => {
                let consumer = self.life.consumer.as_mut().expect("the engine has connected");
                consumer.seek(&sim.kafka, offsets);
                Event::Sought
            }
            Effect::Apply(batch) => {
                if sim.strikes(Fault::CrashAfterPoll, &self.name) {
                    return None;
                }
                return self.apply(sim, &batch);
            }
            Effect::BackOff { cause } => {
                sim.note(&self.name, None, || format!("waits: {cause}"));
                let wait = Duration::from_millis(sim.dice.u64(50..=BACKOFF_MAX_MS));
                self.life.wait_until = sim.now + wait;
                Event::Proceed
            }
            Effect::Stop(error) => panic!("{}: {error:#}", self.name),
            Effect::Poll => unreachable!("a poll is a step of its own"),
        })
    }
}

fn failed(failure: Failure) -> Event {
    match failure {
        Failure::Retriable(error) => Event::Failed(Class::Retriable, error),
        Failure::Fatal(error) => Event::Failed(Class::Fatal, error),
        Failure::Poison(cause) => Event::Failed(Class::Fatal, anyhow::anyhow!(cause)),
    }
}

impl Actor for Intake {
    fn group(&self) -> Option<&'static str> {
        Some(GROUP)
    }

    fn step(&mut self, sim: &mut Sim) -> Progress {
        if sim.now < self.life.wait_until {
            return Progress::Idle;
        }
        match std::mem::replace(&mut self.life.effect, Effect::Poll) {
            Effect::Poll => self.poll(sim),
            effect => match self.perform(sim, effect) {
                Some(event) => self.tell(event),
                None => Progress::Died,
            },
        }
    }

    fn die(&mut self, sim: &Sim, _: bool) {
        self.life = Life::begin(sim);
    }
}
