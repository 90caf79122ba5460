//! What a stranger writes: values that are no message, around every limit, with a key or without
//! one; and headers of our names that are not well-formed.

use fastrand::Rng;
use streams::{
    Headers, Outgoing,
    limits::{HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, VALUE_BYTES_MAX},
    record::names,
};

/// Garbage on one of `topics`, up to what a topic takes.
pub fn garbage(dice: &mut Rng, topics: &[&'static str]) -> Outgoing {
    let sizes = [1, VALUE_BYTES_MAX + 1, 1_100_000, MESSAGE_BYTES_MAX - 400];
    let key = format!("strange-{}", dice.u32(..)).into_bytes();
    let key = (dice.u32(0..4) > 0).then_some(key);
    let (mut value, mut headers) = (vec![1; sizes[dice.usize(0..sizes.len())]], Headers::default());
    if dice.u32(0..3) == 0 {
        headers.push("strange", std::mem::replace(&mut value, vec![1]));
    }
    spoil(&mut headers, dice);
    let topic = topics[dice.usize(0..topics.len())];
    Outgoing { topic, partition: 0, key, value: Some(value), headers }
}

/// Give `headers` some of our names with values that are none, besides those that are there or in
/// their place.
pub fn spoil(headers: &mut Headers, dice: &mut Rng) {
    const NAMES: [&str; 5] =
        [names::TRACEPARENT, names::LINEAGE, names::CORRELATION_ID, names::CAUSATION_ID, names::ID];
    let strange = [
        None,
        Some(Vec::new()),
        Some(b"a\0b".to_vec()),
        Some(b"two\nlines".to_vec()),
        Some(b"\xff".to_vec()),
        Some(vec![b'x'; HEADER_BYTES_MAX]),
    ];
    for name in NAMES.into_iter().filter(|_| dice.bool()).collect::<Vec<_>>() {
        if dice.bool() {
            headers.0.retain(|(known, _)| known != name);
        }
        headers.0.push((name.into(), strange[dice.usize(0..strange.len())].clone()));
    }
}
