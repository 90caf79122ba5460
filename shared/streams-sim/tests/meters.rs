//! Goal: a service of its own, simulated: whatever the seed brings, each reading is counted once;
//! and a promise of the runtime that is broken on purpose shows. A template for the simulation of
//! another processor.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use streams::{
    Codec, Failure, Headers, MemoryRegistry, Outgoing, Owns, Processor, Record, Service, Source,
    Table, Timestamp, Tx, UpTo,
    topic::{Cleanup, PartitionCount, Topic, TopicSpec, Writers, dead_letters},
};
use streams_sim::{
    Actor, Fault, Mutation, Program, Progress, Ran, Scenario, Sim, Stage, World, faults, mutation,
    seeds::on_all_cores, shrink,
};

// ------------------------------------------------------------------------------------ the service

/// What a meter has counted.
#[derive(Debug, Serialize, Deserialize)]
struct Count {
    meter: String,
    kwh: i64,
}

streams::avro_record!(
    Count,
    "meters/Count.avsc",
    r#"{"type":"record","name":"Count",
    "fields":[{"name":"meter","type":"string"},{"name":"kwh","type":"long"}]}"#
);

static READINGS: Topic<String, Count> =
    Topic::new("meters.readings", "Count", PartitionCount::Fixed(3));
static TOTALS: Topic<String, Count> =
    Topic::new("meters.totals", "Count", PartitionCount::Fixed(3))
        .written_by(Writers::One("meters"))
        .kept(Cleanup::Keep);
static DEAD_LETTERS: TopicSpec = dead_letters("meters.dlq", "meters", PartitionCount::Fixed(3));
static SUMS: Table<i64> = Table::new(1);

/// Keeps a sum per meter, and writes each new sum.
struct Meters;

impl Service for Meters {
    const NAME: &'static str = "meters";
    const VERSION: &'static str = "1.0.0";

    fn dead_letters() -> &'static TopicSpec {
        &DEAD_LETTERS
    }
}

impl Owns<Count> for Meters {}

impl Processor for Meters {
    type Identity = Meters;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        vec![&READINGS.spec]
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        vec![&TOTALS.spec]
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source { topic: &TOTALS.spec, up_to: UpTo::End }]
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Meters>) -> Result<(), Failure> {
        let meter: String = record.key_as()?;
        if record.is_on(&TOTALS) {
            return tx.put(&SUMS, meter.as_bytes(), &tx.decode(&TOTALS, record)?.kwh);
        }
        let reading = tx.decode(&READINGS, record)?;
        let kwh = tx.get(&SUMS, meter.as_bytes())?.unwrap_or(0) + reading.kwh;
        tx.put(&SUMS, meter.as_bytes(), &kwh)?;
        tx.send(&TOTALS, &meter, &Count { meter: meter.clone(), kwh })
    }
}

// ---------------------------------------------------------------------------------- its world

/// Meters that report, each reading at its time: one can be left out without changing the others.
struct Readings {
    left: VecDeque<(Timestamp, usize)>,
}

impl World for Readings {
    const PARTS: usize = 1;

    fn start(&mut self, sim: &mut Sim, name: &'static str, nth: u32) -> Vec<Box<dyn Actor<Self>>> {
        vec![Box::new(Stage::new(sim, name, nth, 500, || Meters))]
    }

    fn step(&mut self, sim: &mut Sim, _: usize) -> Progress {
        let Some((_, number)) = self.left.pop_front_if(|(at, _)| *at <= sim.now) else {
            return Progress::Idle;
        };
        let (meter, kwh) = (format!("meter-{}", number % 7), number as i64 + 1);
        let value = sim.codec.encode(&READINGS.spec, &Count { meter: meter.clone(), kwh });
        let (topic, headers) = (READINGS.name(), Headers::default());
        let (key, value) = (Some(meter.into_bytes()), Some(value.unwrap()));
        sim.append("meter", Outgoing { topic, partition: 0, key, value, headers });
        Progress::Moved
    }

    fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    fn silence(&self) -> Duration {
        Duration::from_secs(20)
    }
}

fn words(codec: &Codec, topic: &str, key: &str, value: &[u8]) -> (String, BTreeSet<String>) {
    let topic = if topic == TOTALS.name() { &TOTALS } else { &READINGS };
    let kwh = codec.decode(topic, value).map(|count| count.kwh);
    (format!("{key}: {kwh:?} kWh"), BTreeSet::from([key.to_owned()]))
}

// ---------------------------------------------------------------------------------- and its law

struct Outcome {
    ran: Ran,
    /// The totals of a meter that are not what its readings add up to.
    broken: Vec<String>,
}

impl Outcome {
    fn is_clean(&self) -> bool {
        self.ran.rested && self.broken.is_empty()
    }
}

impl AsRef<Ran> for Outcome {
    fn as_ref(&self) -> &Ran {
        &self.ran
    }
}

fn run(scenario: &Scenario) -> Outcome {
    let program = Program {
        topics: &[&READINGS.spec, &TOTALS.spec, &DEAD_LETTERS],
        codec: Codec::new(Arc::new(MemoryRegistry::default())),
        faults: &[],
        words,
    };
    let sim = Sim::new(scenario, program);
    let left = (0..scenario.requests).filter(|number| !scenario.dropped.contains(number));
    let left = left.map(|number| (sim.now + Duration::from_millis(40) * number as u32, number));
    let world = Readings { left: left.collect() };
    let (ran, broken) = streams_sim::run(sim, world, ["meters"], 2, |sim, _| broken(sim));
    Outcome { ran, broken }
}

/// Every reading makes one total, in the order of the log.
fn broken(sim: &Sim) -> Vec<String> {
    let mut sums: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (meter, kwh) in counts(sim, &READINGS) {
        let sums = sums.entry(meter).or_default();
        sums.push(sums.last().copied().unwrap_or(0) + kwh);
    }
    let mut totals: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (meter, kwh) in counts(sim, &TOTALS) {
        totals.entry(meter).or_default().push(kwh);
    }
    let differs = |(meter, sums): (String, Vec<i64>)| {
        let totals = totals.get(&meter).cloned().unwrap_or_default();
        (totals != sums).then(|| format!("{meter}: {totals:?} instead of {sums:?}"))
    };
    sums.into_iter().filter_map(differs).collect()
}

fn counts(sim: &Sim, topic: &Topic<String, Count>) -> Vec<(String, i64)> {
    let count = |record: &Record| {
        let count = sim.codec.decode(topic, record.value.as_deref().unwrap()).unwrap();
        (count.meter, count.kwh)
    };
    sim.kafka.committed(topic.name()).into_iter().map(count).collect()
}

const SEEDS: u64 = 200;
const COUNT: usize = 60;

#[test]
fn each_reading_counts_once_whatever_the_seed_brings() {
    let struck: Mutex<BTreeMap<Fault, u32>> = Mutex::default();
    on_all_cores(0..SEEDS, None, |seed| {
        let outcome = run(&Scenario::new(seed, COUNT));
        assert!(outcome.is_clean(), "seed {seed}: {:?}", outcome.broken);
        for (fault, times) in outcome.ran.faults {
            *struck.lock().unwrap().entry(fault).or_default() += times;
        }
        false
    });
    // What never happens is not tested.
    let struck = struck.into_inner().unwrap();
    for fault in faults::ALL {
        assert!(struck.contains_key(fault), "{fault} never struck");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let [first, second] = [(); 2].map(|()| run(&Scenario::new(1, COUNT)).ran);
    assert_eq!((first.digest, first.steps), (second.digest, second.steps));
    assert_eq!(first.strikes, second.strikes);
}

fn found(mutation: Mutation) -> Option<(Scenario, Outcome)> {
    (0..SEEDS).find_map(|seed| {
        let scenario = Scenario::new(seed, COUNT).with(mutation);
        let outcome = run(&scenario);
        (!outcome.broken.is_empty()).then_some((scenario, outcome))
    })
}

#[test]
fn every_mutation_of_the_runtime_is_found() {
    // The meters do not read their own log as an input, so nothing is committed for it; and they do
    // nothing in their own time.
    let hidden = [mutation::SHORT_RESTORE, mutation::OWN_CLOCK];
    let shows = |mutation: &&Mutation| !hidden.contains(mutation);
    on_all_cores(mutation::ALL.iter().filter(shows), None, |mutation| {
        let (scenario, _) = found(*mutation).unwrap_or_else(|| panic!("{mutation} is not found"));
        // The same seed without it is clean: it was this that was found.
        assert!(run(&Scenario { mutation: None, ..scenario }).is_clean(), "{mutation}");
        false
    });
}

#[test]
fn a_failure_is_shrunk_and_told() {
    let (scenario, outcome) = found(mutation::OFFSETS_APART).unwrap();
    let shrunk = shrink(&scenario, &outcome, run, |outcome| !outcome.broken.is_empty());
    let strikes = |ran: &Ran| ran.faults.values().sum::<u32>();
    assert!(!shrunk.outcome.broken.is_empty());
    assert!(shrunk.scenario.dropped.len() > COUNT / 2, "{:?}", shrunk.scenario.dropped);
    // Offsets that are committed too early lose records where the process dies before its commit.
    assert_eq!(strikes(&shrunk.outcome.ran), 1, "of {}", strikes(&outcome.ran));
    let events = shrunk.outcome.ran.trace.events();
    assert!(events.iter().any(|event| event.what == "! crash before commit"), "{events:?}");
}
