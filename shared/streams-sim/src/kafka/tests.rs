//! Goal: the model does what Kafka does where the services rely on it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::*;
use streams::{
    Headers,
    topic::{Cleanup, PartitionCount, Writers},
};

const NOW: Timestamp = Timestamp(0);

static ORDERS: TopicSpec = TopicSpec {
    name: "orders",
    key: "text",
    value: "bytes",
    schemas: || &[],
    writers: Writers::AnyProcess,
    partitions: PartitionCount::Fixed(3),
    cleanup: Cleanup::Keep,
};

fn message(key: &str) -> Outgoing {
    let (key, headers) = (key.as_bytes().to_vec(), Headers::default());
    Outgoing { topic: ORDERS.name, partition: 0, key: Some(key), value: Some(Vec::new()), headers }
}

fn keys(kafka: &Kafka) -> Vec<String> {
    let (records, _) = kafka.read(kafka.topic(ORDERS.name), 0, 0, usize::MAX);
    let key = |record: &Record| String::from_utf8(record.key.clone().unwrap()).unwrap();
    records.into_iter().map(key).collect()
}

#[test]
fn only_what_is_committed_is_read_and_not_past_what_is_open() {
    let mut kafka = Kafka::new(&[&ORDERS]);
    let epoch = kafka.init_transactions("a");
    let other = kafka.init_transactions("b");
    kafka.begin("a", epoch, NOW).unwrap();
    kafka.send("a", epoch, message("open"), NOW).unwrap();
    kafka.begin("b", other, NOW).unwrap();
    kafka.send("b", other, message("committed"), NOW).unwrap();
    kafka.commit("b", other).unwrap();
    kafka.complete("b");
    assert!(keys(&kafka).is_empty(), "the open transaction holds up what comes after it");
    kafka.abort("a", epoch).unwrap();
    assert_eq!(keys(&kafka), ["committed"]);
}

#[test]
fn what_is_committed_shows_when_its_marker_is_written() {
    let mut kafka = Kafka::new(&[&ORDERS]);
    let epoch = kafka.init_transactions("a");
    kafka.begin("a", epoch, NOW).unwrap();
    kafka.send("a", epoch, message("one"), NOW).unwrap();
    kafka.commit("a", epoch).unwrap();
    assert!(keys(&kafka).is_empty());
    let topic = kafka.topic(ORDERS.name);
    assert_eq!(kafka.decided_end(topic, 0), None, "a restore waits for the marker");
    kafka.init_transactions("a");
    assert_eq!(keys(&kafka), ["one"], "a successor completes what was committed");
}

#[test]
fn a_producer_that_was_replaced_is_fenced_and_its_transaction_aborted() {
    let mut kafka = Kafka::new(&[&ORDERS]);
    let old = kafka.init_transactions("a");
    kafka.begin("a", old, NOW).unwrap();
    kafka.send("a", old, message("lost"), NOW).unwrap();
    kafka.init_transactions("a");
    assert_eq!(kafka.send("a", old, message("late"), NOW), Err(Refusal::Fenced));
    assert_eq!(kafka.commit("a", old), Err(Refusal::Fenced));
    assert!(keys(&kafka).is_empty());
}

#[test]
fn offsets_count_with_their_transaction_and_for_the_generation_of_now_alone() {
    let (mut kafka, mut dice) = (Kafka::new(&[&ORDERS]), Rng::with_seed(1));
    let topic = kafka.topic(ORDERS.name);
    let membership = kafka.join(&mut dice, "orders", 0, &[topic]);
    let epoch = kafka.init_transactions("a");
    let offsets = || Offsets::from([((ORDERS.name.to_owned(), 0), 7)]);
    kafka.begin("a", epoch, NOW).unwrap();
    kafka.send_offsets(("a", epoch), "orders", membership, offsets()).unwrap();
    assert_eq!(kafka.group_offsets("orders", &[topic], 0), None, "they are not stable yet");
    kafka.commit("a", epoch).unwrap();
    kafka.complete("a");
    assert_eq!(kafka.group_offsets("orders", &[topic], 0), Some(offsets()));

    kafka.join(&mut dice, "orders", 1, &[topic]);
    kafka.begin("a", epoch, NOW).unwrap();
    let late = kafka.send_offsets(("a", epoch), "orders", membership, offsets());
    assert_eq!(late, Err(Refusal::IllegalGeneration));
}

#[test]
fn a_delayed_commit_decides_the_next_transaction_unless_its_epoch_is_over() {
    for renewed in [false, true] {
        let mut kafka = Kafka::new(&[&ORDERS]);
        let mut epoch = kafka.init_transactions("a");
        kafka.begin("a", epoch, NOW).unwrap();
        kafka.send("a", epoch, message("one"), NOW).unwrap();
        kafka.delay_commit("a", epoch);
        kafka.commit("a", epoch).unwrap();
        kafka.complete("a");
        if renewed {
            epoch = kafka.init_transactions("a");
        }
        kafka.begin("a", epoch, NOW).unwrap();
        kafka.send("a", epoch, message("half"), NOW).unwrap();
        let mut dice = Rng::with_seed(7);
        (0..2_000).for_each(|_| kafka.deliver_delayed(&mut dice));
        assert_eq!(keys(&kafka).len(), if renewed { 1 } else { 2 });
        let rest = kafka.send("a", epoch, message("rest"), NOW);
        assert_eq!(rest.is_ok(), renewed);
    }
}
