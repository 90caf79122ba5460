//! Payments: records on `orders` into its intake, and the answers of the bank into its supervisor,
//! over its tables in memory.

use crate::{
    answers,
    codec::{KNOWN, TOPICS},
    input::{Input, Output},
    processors::{record, written},
    seeds,
};
use contracts::{Timestamp, partition, topics::ORDERS};
use payments::{
    memory::{Connection, Server, Tables, at_once},
    processor::PaymentsIntake,
    supervisor::{Settings, Supervisor},
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Most records of an input, and most rounds of calls after them.
const RECORDS_MAX: usize = 6;
const ROUNDS_MAX: u32 = 6;

/// How far the clock goes on between two rounds of calls.
const ROUND: Duration = Duration::from_secs(30);

/// The database of payments, with a clock.
#[derive(Default)]
struct Own {
    tables: Tables,
    now: Timestamp,
}

impl Server for Own {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn tables_mut(&mut self) -> &mut Tables {
        &mut self.tables
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

/// Records, and then what the bank answers.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut database = Connection(Own { now: seeds::NOW, ..Own::default() });
    let count = usize::from(input.byte()) % (RECORDS_MAX + 1);
    let mut intake = PaymentsIntake::new(KNOWN.codec.clone());
    let places: Vec<_> =
        (0..partition::count()).map(|partition| (ORDERS.name().to_owned(), partition)).collect();
    at_once(intake.claim(&mut database, &places)).expect("nothing is away");
    for offset in 0..count {
        let batch = [record(&[&ORDERS.spec], offset, &mut input)];
        let read = intake.read(&batch).expect("a record of a stranger makes payments wait");
        at_once(intake.apply(&mut database, &read, seeds::NOW)).expect("a record is not taken");
    }
    let mut supervisor = Supervisor::new(KNOWN.codec.clone(), Settings::DEFAULT, Uuid::nil());
    for _ in 0..ROUNDS_MAX {
        let now = database.0.now;
        let next = at_once(supervisor.step(&mut database, now)).expect("an answer is not taken");
        for call in next.calls {
            let heard = answers::answer(&mut input, call.task);
            supervisor.called(call.over(heard, now));
        }
        database.0.now = now + ROUND;
    }
    is_sound(&database.0.tables);
}

/// The books balance, and what goes out can be read.
fn is_sound(tables: &Tables) {
    let mut sums: BTreeMap<_, i64> = BTreeMap::new();
    for entry in &tables.ledger {
        *sums.entry(entry.order_id).or_default() += entry.amount_minor;
    }
    assert!(sums.values().all(|sum| *sum == 0), "the books do not balance: {sums:?}");
    for row in &tables.outbox {
        let message = row.message();
        let Some(topic) = TOPICS.iter().find(|topic| topic.spec.name == message.topic) else {
            continue;
        };
        let value = message.value.as_deref().expect("a transition has a value");
        assert!((topic.read)(&KNOWN.codec, value), "what payments sends cannot be read");
    }
}

/// Each order alone and all of them, with each answer of the bank again and again.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let values = seeds::values(&ORDERS.spec);
    let mut made = Vec::new();
    for answer in answers::ANSWERS {
        let told = |output: Output| (0..4).fold(output, |out, _| answers::told(out, answer)).done();
        for value in &values {
            made.push(told(written(Output::default().byte(1), 0, &ORDERS.spec, value)));
        }
    }
    made
}
