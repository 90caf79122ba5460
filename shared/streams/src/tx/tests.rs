use super::*;
use crate::{
    MemoryRegistry, MemoryStore,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX, VALUE_BYTES_MAX},
    topic::{PartitionCount, TopicSpec, dead_letters},
};
use std::sync::Arc;

struct Sums;

static LETTERS: TopicSpec = dead_letters("sums.dlq", "sums", PartitionCount::Fixed(3));

impl Service for Sums {
    const NAME: &'static str = "sums";
    const VERSION: &'static str = "1.0.0";

    fn dead_letters() -> &'static TopicSpec {
        &LETTERS
    }
}

fn record(key: usize, value: usize, headers: Headers) -> Record {
    Record {
        topic: "x".repeat(249).into(),
        partition: i32::MAX,
        offset: i64::MAX,
        timestamp_ms: 1,
        key: Some(vec![b'k'; key]),
        value: Some(vec![b'v'; value]),
        headers,
    }
}

fn headers(number: usize, name: usize, value: usize) -> Headers {
    Headers((0..number).map(|_| ("n".repeat(name).into(), Some(vec![b'h'; value]))).collect())
}

/// Whatever is around a limit, and what a broker and a decompressor may hand out.
#[test]
fn a_dead_letter_always_fits() {
    let around = |limit: usize| [0, limit - 1, limit, limit + 1];
    let strange = [
        headers(0, 1, 1),
        headers(HEADERS_MAX, 1, HEADER_BYTES_MAX - 1),
        headers(HEADERS_MAX + 1, 1, HEADER_BYTES_MAX - 1),
        headers(1, 2_000_000, 1),
        headers(1, 1, 2_000_000),
        headers(60_000, 1, 30),
    ];
    let cause = "\u{1f375}".repeat(1_000_000);
    let check = |key: usize, value: usize, headers: &Headers| {
        let record = record(key, value, headers.clone());
        let letter = dead_letter::<Sums>(&record, &cause, Timestamp(1));
        let kept = letter.headers.get(dlq_names::SHA256).is_none();
        assert_eq!(letter.headers.get(dlq_names::OFFSET), Some("9223372036854775807"));
        assert!(letter.headers.get(dlq_names::CAUSE).is_some_and(|c| c.len() == 1000));
        let fits = key <= KEY_BYTES_MAX && value <= VALUE_BYTES_MAX;
        assert_eq!(kept, fits && *headers == headers.bounded());
        assert!(letter.size() <= RECORD_BYTES_MAX, "key {key}, value {value}");
    };
    for key in around(KEY_BYTES_MAX) {
        strange.iter().for_each(|headers| check(key, 1, headers));
    }
    for value in around(VALUE_BYTES_MAX) {
        check(KEY_BYTES_MAX, value, &strange[1]);
    }
    check(2_096_950, 1, &strange[0]);
    check(1, 10_000_000, &strange[2]);
}

#[test]
fn a_letter_that_is_cut_says_of_what() {
    let whole = record(3, VALUE_BYTES_MAX + 1, Headers::default());
    let letter = dead_letter::<Sums>(&whole, "garbage", Timestamp(1));
    assert_eq!(letter.value.as_ref().map(Vec::len), Some(VALUE_BYTES_MAX));
    assert_eq!(letter.headers.get(dlq_names::BYTES), Some("900004"));
    assert_eq!(letter.headers.get(dlq_names::SHA256), Some(&*whole.digest()));
    let other = record(4, VALUE_BYTES_MAX, Headers::default());
    assert_ne!(whole.digest(), other.digest());
}

/// A stranger's `dlq_done` would mark the dead letter as settled, and no operator would ever
/// see it.
#[test]
fn what_a_stranger_says_in_our_names_is_left_behind() {
    let mut strange = Headers::default();
    for name in ["dlq_done", dlq_names::SHA256, dlq_names::TOPIC, "theirs"] {
        strange.push(name, "5 replayed");
    }
    let letter = dead_letter::<Sums>(&record(1, 1, strange), "garbage", Timestamp(1));
    assert_eq!(letter.headers.get("dlq_done"), None);
    assert_eq!(letter.headers.get(dlq_names::SHA256), None);
    assert_eq!(letter.headers.get("theirs"), Some("5 replayed"));
    let topics = letter.headers.0.iter().filter(|(name, _)| name == dlq_names::TOPIC);
    assert_eq!(topics.count(), 1);
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Level {
    value: i64,
}

crate::avro_record!(
    Level,
    "sums/Level.avsc",
    r#"{"type":"record","name":"Level","namespace":"sums","fields":[
        {"name":"value","type":"long"}]}"#
);

impl Owns<Level> for Sums {}

static LEVELS: Topic<String, Level> = Topic::new("levels", "Level", PartitionCount::Fixed(1));

#[test]
fn of_a_key_the_last_one_of_a_transaction_is_sent_and_poison_takes_back_its_own() {
    let store = MemoryStore::default();
    let codec = Codec::new(Arc::new(MemoryRegistry::default()));
    let mut tx: Tx<'_, Sums> = Tx::new(&store, &codec, Timestamp(1));
    let mut handle = |key: &str, value, is_poison| {
        tx.begin(&record(1, 1, Headers::default()));
        tx.send_latest(&LEVELS, &key.to_owned(), &Level { value }).unwrap();
        if is_poison { tx.drop_scratch() } else { tx.keep() }
    };
    handle("a", 1, false);
    handle("b", 2, false);
    handle("a", 3, false);
    handle("b", 4, true);
    assert!(!tx.is_empty());
    let (sent, ..) = tx.into_parts();
    let read = |outgoing: &Outgoing| {
        let level = codec.decode(&LEVELS, outgoing.value.as_deref().unwrap()).unwrap();
        (String::from_utf8(outgoing.key.clone().unwrap()).unwrap(), level.value)
    };
    let sent: Vec<_> = sent.iter().map(read).collect();
    assert_eq!(sent, [("a".to_owned(), 3), ("b".to_owned(), 2)]);
}
