//! [`FencedStage`]: drives the [`FencedEngine`] of a consumer that keeps its offsets in its own
//! database, on the modelled Kafka, one effect at a time.

use crate::{
    faults,
    kafka::{Consumer, Topic},
    process::{Actor, Progress},
    sim::Sim,
    stage::BACKOFF_MAX_MS,
};
use std::time::Duration;
use streams::{
    Failure, Record, Timestamp,
    engine::{Class, Offsets},
    fenced::{Effect, Event, FencedEngine},
    topic::TopicSpec,
};

/// Most records of a batch.
const BATCH_MAX: usize = 64;

/// What the consumer does on its database, in the world `W`.
pub trait Fenced<W> {
    /// Take over partitions: raise their epochs. Where to read on.
    ///
    /// # Errors
    /// [`Failure`], as the service has it.
    fn claim(
        &mut self,
        sim: &mut Sim,
        world: &mut W,
        places: &[(String, i32)],
    ) -> Result<Offsets, Failure>;

    /// One transaction: what the records cause, and the offsets after them.
    ///
    /// # Errors
    /// [`Failure`], as the service has it.
    fn apply(&mut self, sim: &mut Sim, world: &mut W, batch: &[Record]) -> Result<(), Failure>;
}

/// A consumer of one instance.
pub struct FencedStage<F> {
    name: &'static str,
    instance: u32,
    id: String,
    specs: Vec<&'static TopicSpec>,
    inputs: Vec<Topic>,
    make: Box<dyn Fn(&Sim) -> F>,
    life: Life<F>,
}

/// What is lost when the process dies.
struct Life<F> {
    service: F,
    engine: FencedEngine,
    /// What the engine asks for.
    effect: Effect,
    consumer: Option<Consumer>,
    wait_until: Timestamp,
}

impl<F> Life<F> {
    fn begin(service: F, inputs: &[&'static TopicSpec]) -> Self {
        let mut engine = FencedEngine::new(inputs);
        let effect = engine.next(Event::Proceed);
        Self { service, engine, effect, consumer: None, wait_until: Timestamp::default() }
    }
}

impl<F> FencedStage<F> {
    /// A member of the group `name`, which reads `specs`; each life of its process makes a service
    /// of its own.
    pub fn new(
        sim: &Sim,
        name: &'static str,
        instance: u32,
        specs: Vec<&'static TopicSpec>,
        make: impl Fn(&Sim) -> F + 'static,
    ) -> Self {
        let inputs = specs.iter().map(|topic| sim.kafka.topic(topic.name)).collect();
        let (id, life) = (format!("{name}-{instance}"), Life::begin(make(sim), &specs));
        Self { name, instance, id, specs, inputs, make: Box::new(make), life }
    }

    fn tell(&mut self, event: Event) -> Progress {
        self.life.effect = self.life.engine.next(event);
        Progress::Moved
    }

    fn consumer(&mut self) -> &mut Consumer {
        self.life.consumer.as_mut().expect("the engine connects before it reads")
    }

    /// Read a batch of any size.
    fn poll(&mut self, sim: &mut Sim) -> Progress {
        let max = sim.dice.usize(1..=BATCH_MAX);
        let polled = self.consumer().poll(&mut sim.kafka, &mut sim.dice, max);
        if !polled.assigned.is_empty() {
            let owned = &polled.owned;
            sim.note(&self.id, None, || format!("owns partitions {owned:?}"));
        }
        sim.note_polled(&self.id, &polled.records);
        let is_idle = polled.records.is_empty() && polled.assigned.is_empty();
        self.tell(Event::Polled(polled));
        // A claim may be tried again, though nothing has come.
        if is_idle && matches!(self.life.effect, Effect::Poll) {
            return Progress::Idle;
        }
        Progress::Moved
    }

    /// What comes of an effect; none if the process dies.
    fn perform<W>(&mut self, sim: &mut Sim, world: &mut W, effect: Effect) -> Option<Event>
    where
        F: Fenced<W>,
    {
        Some(match effect {
            Effect::Connect => {
                let (kafka, dice) = (&mut sim.kafka, &mut sim.dice);
                let topics = self.inputs.clone();
                let consumer = Consumer::join(kafka, dice, self.name, self.instance, topics);
                self.life.consumer = Some(consumer);
                sim.note(&self.id, None, || "joins its group".to_owned());
                Event::Connected
            }
            Effect::Disconnect => {
                self.life.consumer = None;
                Event::Disconnected
            }
            Effect::Claim(places) => {
                let claimed = self.life.service.claim(sim, world, &places);
                claimed.map_or_else(failed, Event::Claimed)
            }
            Effect::Seek(offsets) => {
                self.consumer().seek(&sim.kafka, offsets);
                Event::Sought
            }
            Effect::Apply(batch) => {
                if sim.strikes(faults::CRASH_AFTER_POLL, &self.id) {
                    return None;
                }
                let applied = self.life.service.apply(sim, world, &batch);
                applied.map_or_else(failed, |()| Event::Applied)
            }
            Effect::BackOff { cause } => {
                sim.note(&self.id, None, || format!("waits: {cause}"));
                let wait = Duration::from_millis(sim.dice.u64(50..=BACKOFF_MAX_MS));
                self.life.wait_until = sim.now + wait;
                Event::Proceed
            }
            Effect::Stop(error) => panic!("{}: {error:#}", self.id),
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

impl<W, F: Fenced<W>> Actor<W> for FencedStage<F> {
    fn group(&self) -> Option<&'static str> {
        Some(self.name)
    }

    fn step(&mut self, sim: &mut Sim, world: &mut W) -> Progress {
        if sim.now < self.life.wait_until {
            return Progress::Idle;
        }
        match std::mem::replace(&mut self.life.effect, Effect::Poll) {
            Effect::Poll => self.poll(sim),
            effect => match self.perform(sim, world, effect) {
                Some(event) => self.tell(event),
                None => Progress::Died,
            },
        }
    }

    fn die(&mut self, sim: &Sim, _: bool) {
        self.life = Life::begin((self.make)(sim), &self.specs);
    }
}
