//! Goal: whatever fails, and whenever, each record reaches the database in order and none is left
//! out; and nothing is applied before its partition is claimed.

use super::*;
use crate::{
    Headers,
    topic::{PartitionCount, dead_letters},
};
use anyhow::anyhow;
use std::collections::BTreeMap;

static READS: TopicSpec = dead_letters("reads", "meter", PartitionCount::Fixed(2));

fn engine() -> FencedEngine {
    FencedEngine::new(&[&READS])
}

fn record(partition: i32, offset: i64) -> Record {
    let (topic, headers) = ("reads".into(), Headers::default());
    Record { topic, partition, offset, timestamp_ms: 0, key: None, value: None, headers }
}

fn place(partition: i32) -> (String, i32) {
    ("reads".to_owned(), partition)
}

fn offsets(of: &[(i32, i64)]) -> Offsets {
    of.iter().map(|(partition, offset)| (place(*partition), *offset)).collect()
}

fn polled(owned: &[i32], assigned: &[i32], records: &[(i32, i64)]) -> Event {
    let records = records.iter().map(|(partition, offset)| record(*partition, *offset));
    Event::Polled(Polled {
        owned: owned.iter().copied().collect(),
        assigned: assigned.iter().copied().collect(),
        records: records.collect(),
        ..Polled::default()
    })
}

fn failed(class: Class) -> Event {
    Event::Failed(class, anyhow!("as told"))
}

/// What an effect is, in short.
fn name(effect: &Effect) -> String {
    let short = |offsets: &Offsets| {
        let all = offsets.iter().map(|((_, partition), offset)| format!("{partition}@{offset}"));
        all.collect::<Vec<_>>().join(" ")
    };
    match effect {
        Effect::Connect => "connect".into(),
        Effect::Disconnect => "disconnect".into(),
        Effect::Poll => "poll".into(),
        Effect::Claim(places) => {
            let all = places.iter().map(|(_, partition)| partition.to_string());
            format!("claim {}", all.collect::<Vec<_>>().join(" "))
        }
        Effect::Seek(offsets) => format!("seek {}", short(offsets)),
        Effect::Apply(records) => {
            let all = records.iter().map(|one| format!("{}@{}", one.partition, one.offset));
            format!("apply {}", all.collect::<Vec<_>>().join(" "))
        }
        Effect::BackOff { .. } => "back off".into(),
        Effect::Stop(_) => "stop".into(),
    }
}

/// Each event, and what the engine asks for after it.
fn check(engine: &mut FencedEngine, story: Vec<(Event, &str)>) {
    for (event, then) in story {
        let told = format!("{event:?}");
        assert_eq!(name(&engine.next(event)), then, "after {told}");
    }
}

/// An engine that has claimed both partitions, from offsets 3 and 5.
fn at_work() -> FencedEngine {
    let mut engine = engine();
    let story = vec![
        (Event::Proceed, "connect"),
        (Event::Connected, "poll"),
        (polled(&[0, 1], &[0, 1], &[]), "claim 0 1"),
        (Event::Claimed(offsets(&[(0, 3), (1, 5)])), "seek 0@3 1@5"),
        (Event::Sought, "poll"),
    ];
    check(&mut engine, story);
    assert_eq!(engine.partitions().collect::<Vec<_>>(), [0, 1]);
    engine
}

#[test]
fn what_was_read_before_the_claim_is_not_applied() {
    let mut engine = engine();
    let story = vec![
        (Event::Proceed, "connect"),
        (Event::Connected, "poll"),
        (polled(&[0], &[0], &[(0, 0), (0, 1)]), "claim 0"),
        (failed(Class::Retriable), "back off"),
        (Event::Proceed, "poll"),
        (polled(&[0], &[], &[(0, 2)]), "claim 0"),
        (Event::Claimed(offsets(&[(0, 7)])), "seek 0@7"),
        (Event::Sought, "poll"),
        (polled(&[0], &[], &[(0, 7), (0, 8)]), "apply 0@7 0@8"),
        (Event::Applied, "poll"),
    ];
    check(&mut engine, story);
}

#[test]
fn what_was_read_beside_a_claim_comes_again() {
    for (claimed, then) in [(true, "seek 0@9 1@3"), (false, "seek 1@3")] {
        let mut engine = at_work();
        let claim = vec![
            (polled(&[1], &[], &[]), "poll"),
            (polled(&[0, 1], &[0], &[(0, 1), (1, 3), (1, 4)]), "claim 0"),
        ];
        check(&mut engine, claim);
        let answer = match claimed {
            true => Event::Claimed(offsets(&[(0, 9)])),
            false => failed(Class::Retriable),
        };
        check(&mut engine, vec![(answer, then)]);
    }
}

#[test]
fn a_batch_that_was_not_applied_comes_again_and_is_the_trouble_until_it_is() {
    let mut engine = at_work();
    let batch = || polled(&[0, 1], &[], &[(1, 6), (0, 3), (1, 7)]);
    let story = vec![
        (batch(), "apply 1@6 0@3 1@7"),
        (failed(Class::Retriable), "seek 0@3 1@6"),
        (Event::Sought, "back off"),
        (Event::Proceed, "poll"),
        (polled(&[0, 1], &[], &[]), "poll"),
    ];
    check(&mut engine, story);
    assert_eq!(engine.trouble(), Some("as told"), "an empty poll cures nothing");
    check(&mut engine, vec![(batch(), "apply 1@6 0@3 1@7"), (Event::Applied, "poll")]);
    assert_eq!(engine.trouble(), None);
}

#[test]
fn the_trouble_with_a_partition_goes_with_it() {
    let mut engine = at_work();
    let story = vec![
        (polled(&[0, 1], &[], &[(1, 6)]), "apply 1@6"),
        (failed(Class::Retriable), "seek 1@6"),
        (Event::Sought, "back off"),
        (Event::Proceed, "poll"),
        (polled(&[0], &[], &[]), "poll"),
    ];
    check(&mut engine, story);
    assert_eq!(engine.trouble(), None);
    assert_eq!(engine.partitions().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_fenced_consumer_is_made_anew_and_claims_what_it_is_given() {
    let mut engine = at_work();
    let story = vec![
        (polled(&[0, 1], &[], &[(0, 3)]), "apply 0@3"),
        (failed(Class::Fatal), "disconnect"),
        (Event::Disconnected, "back off"),
        (Event::Proceed, "connect"),
        (failed(Class::Retriable), "back off"),
        (Event::Proceed, "connect"),
        (Event::Connected, "poll"),
        (polled(&[1], &[1], &[(1, 0)]), "claim 1"),
    ];
    check(&mut engine, story);
    assert_eq!(engine.partitions().count(), 0);
}

#[test]
fn a_partition_that_was_revoked_and_came_back_is_claimed_again() {
    let mut engine = at_work();
    let story = vec![(polled(&[0, 1], &[1], &[(1, 9), (0, 3)]), "claim 1")];
    check(&mut engine, story);
}

#[test]
fn a_seek_that_fails_leaves_no_consumer_at_an_unknown_place() {
    let mut engine = at_work();
    let story = vec![
        (polled(&[0, 1], &[], &[(0, 3)]), "apply 0@3"),
        (failed(Class::Retriable), "seek 0@3"),
        (failed(Class::Retriable), "disconnect"),
    ];
    check(&mut engine, story);
}

#[test]
fn what_waiting_cannot_cure_is_the_end() {
    let mut engine = engine();
    check(&mut engine, vec![(Event::Proceed, "connect"), (failed(Class::Final), "stop")]);
}

#[test]
fn an_outage_of_kafka_is_waited_for() {
    let mut engine = at_work();
    let outage = Polled { owned: [0, 1].into(), outage: Some("gone".into()), ..Polled::default() };
    check(&mut engine, vec![(Event::Polled(outage), "back off")]);
    assert_eq!(engine.trouble(), Some("gone"));
    check(&mut engine, vec![(Event::Proceed, "poll"), (polled(&[0, 1], &[], &[]), "poll")]);
    assert_eq!(engine.trouble(), None);
}

/// Knuth's MMIX generator: as random as this needs, and always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

const LOG_END: i64 = 60;

/// A log of two partitions, a database, and a group that changes its mind.
struct World {
    dice: Dice,
    calm: bool,
    /// Next offset and epoch of each partition.
    database: BTreeMap<i32, (i64, u64)>,
    epochs: BTreeMap<i32, u64>,
    owned: BTreeSet<i32>,
    fresh: BTreeSet<i32>,
    positions: BTreeMap<i32, i64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let database = [(0, (0, 0)), (1, (0, 0))].into();
        let (owned, fresh) = (BTreeSet::new(), BTreeSet::new());
        let (epochs, positions) = (BTreeMap::new(), BTreeMap::new());
        Self { dice: Dice(seed), calm: false, database, epochs, owned, fresh, positions }
    }

    fn strikes(&mut self) -> bool {
        !self.calm && self.dice.below(5) == 0
    }

    /// Some partitions are ours now, of which some were all the time (KIP-429), and others come
    /// back.
    fn assign(&mut self, joined: bool) {
        let before = std::mem::take(&mut self.owned);
        for partition in 0..2 {
            if !self.calm && self.dice.below(2) == 0 {
                continue;
            }
            self.owned.insert(partition);
            if joined || !before.contains(&partition) || self.dice.below(2) == 0 {
                self.fresh.insert(partition);
                // A consumer begins anywhere, until it is told where.
                self.positions.insert(partition, 0);
            }
        }
        let owned = &self.owned;
        self.fresh.retain(|partition| owned.contains(partition));
    }

    /// Another instance takes a partition over, and applies some records.
    fn steal(&mut self) {
        let partition = self.dice.below(2) as i32;
        let more = self.dice.below(4) as i64;
        let (next, epoch) = self.database.get_mut(&partition).unwrap();
        (*next, *epoch) = ((*next + more).min(LOG_END), *epoch + 1);
    }

    fn perform(&mut self, effect: Effect) -> Event {
        if matches!(effect, Effect::Seek(_) | Effect::Connect | Effect::Claim(_)) && self.strikes()
        {
            return failed(Class::Retriable);
        }
        match effect {
            Effect::Connect => {
                self.assign(true);
                Event::Connected
            }
            Effect::Disconnect => Event::Disconnected,
            Effect::Poll => self.poll(),
            Effect::Claim(places) => {
                let claim = |(topic, partition): (String, i32)| {
                    let (next, epoch) = self.database.get_mut(&partition).unwrap();
                    *epoch += 1;
                    self.epochs.insert(partition, *epoch);
                    ((topic, partition), *next)
                };
                Event::Claimed(places.into_iter().map(claim).collect())
            }
            Effect::Seek(offsets) => {
                for ((_, partition), offset) in offsets {
                    self.positions.insert(partition, offset);
                }
                Event::Sought
            }
            Effect::Apply(records) => self.apply(&records),
            Effect::BackOff { .. } => Event::Proceed,
            Effect::Stop(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self) -> Event {
        if self.strikes() {
            self.assign(false);
        }
        let mut records = Vec::new();
        for partition in self.owned.clone() {
            let most = self.dice.below(4) as i64;
            let position = self.positions.get_mut(&partition).unwrap();
            let until = (*position + most).min(LOG_END);
            records.extend((*position..until).map(|offset| record(partition, offset)));
            *position = until;
        }
        let (owned, assigned) = (self.owned.clone(), std::mem::take(&mut self.fresh));
        Event::Polled(Polled { owned, assigned, records, ..Polled::default() })
    }

    fn apply(&mut self, records: &[Record]) -> Event {
        if self.strikes() {
            self.steal();
        }
        let is_ours = |partition| self.epochs.get(&partition) == Some(&self.database[&partition].1);
        if !records.iter().all(|record| is_ours(record.partition)) {
            return failed(Class::Fatal);
        }
        if self.strikes() {
            return failed(Class::Retriable);
        }
        for Record { partition, offset, .. } in records {
            let (next, _) = self.database.get_mut(partition).unwrap();
            assert!(*offset <= *next, "{partition}@{next} was left out, {offset} came");
            *next = (*next).max(offset + 1);
        }
        match self.strikes() {
            // It has committed, and the answer was lost.
            true => failed(Class::Retriable),
            false => Event::Applied,
        }
    }
}

#[test]
fn every_record_is_applied_in_order_whatever_fails() {
    for seed in 0..200 {
        let (mut world, mut engine) = (World::new(seed), engine());
        let mut event = Event::Proceed;
        for step in 0..2_000 {
            if step == 1_000 {
                world.calm = true;
                world.assign(false);
            }
            let effect = engine.next(event);
            event = world.perform(effect);
        }
        let ends: Vec<i64> = world.database.values().map(|(next, _)| *next).collect();
        assert_eq!(ends, [LOG_END; 2], "seed {seed}");
    }
}
