//! Headers of records. What is taken over of them goes into tables, requests and records.

use crate::input::{Input, Output};
use axum::http::HeaderValue;
use contracts::{
    owns::Orders,
    services::SERVICES,
    topics::{ORDERS, is_awaited},
};
use streams::{
    Headers, Record, Timestamp,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX},
    lineage::Cause,
    record::names,
};

/// What the record is about.
const SUBJECT: &str = "01a1fd97-fa64-71f6-92dc-59ea11e1fb22";

/// How many names a header may have: ours, and one that means nothing to us.
const NAMES: usize = names::ALL.len() + 1;

/// Where that one is: inputs that were kept have it there, and ours that came later after it.
const STRANGERS: usize = 10;

fn name_at(place: usize) -> &'static str {
    match place {
        STRANGERS => "of a stranger",
        _ => names::ALL[place - usize::from(place > STRANGERS)],
    }
}

/// Headers, each with or without a value.
pub(crate) fn read(input: &mut Input<'_>) -> Headers {
    let mut headers = Headers::default();
    let count = input.byte() % 48;
    for _ in 0..count {
        if input.is_empty() {
            break;
        }
        let name = name_at(usize::from(input.byte()) % NAMES);
        let kind = input.byte();
        let value = match kind % 3 {
            0 => None,
            1 => Some(input.short().to_vec()),
            _ => Some(input.short().repeat(8)),
        };
        headers.0.push((name.into(), value));
    }
    headers
}

/// The same, of good headers.
pub(crate) fn written(output: Output, headers: &[(&str, &str)]) -> Output {
    let count = u8::try_from(headers.len()).expect("a seed has few headers");
    headers.iter().fold(output.byte(count), |output, (name, value)| {
        let known = (0..NAMES).find(|place| name_at(*place) == *name);
        let index = known.and_then(|place| u8::try_from(place).ok()).expect("it is a known name");
        output.byte(index).byte(1).short(value.as_bytes())
    })
}

/// The headers of a record, and those of what follows from it.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let headers = read(&mut input);
    let bounded = headers.bounded();
    assert!(bounded.0.len() <= HEADERS_MAX && bounded.size() <= HEADERS_MAX * HEADER_BYTES_MAX);
    let topic = ORDERS.name().into();
    let record = Record {
        topic,
        partition: 0,
        offset: 7,
        timestamp_ms: 0,
        key: Some(input.rest().to_vec()),
        value: None,
        headers,
    };
    for processor in SERVICES.iter().flat_map(|row| row.processors) {
        is_awaited(processor.flows, &record);
    }
    let cause = Cause::of(&record);
    // It goes into a request to the bank.
    let traceparent = cause.traceparent.as_deref();
    assert!(traceparent.is_none_or(|text| text.len() >= 55 && HeaderValue::try_from(text).is_ok()));
    let made = cause.headers::<Orders>("OrderValidated", SUBJECT, Timestamp(1));
    for (name, value) in &made.0 {
        let size = name.len() + value.as_ref().map_or(0, Vec::len);
        assert!(size <= 2 * HEADER_BYTES_MAX, "{name} has {size} bytes");
        // A row of the outbox has them as texts, which PostgreSQL keeps without NUL.
        let text = value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        let text = text.unwrap_or_else(|| panic!("{name} is no text: {value:?}"));
        assert!(!text.contains(char::is_control), "{name}: {text:?}");
        assert_eq!(made.get(name), Some(text), "what is written is read");
    }
    // What follows from that, again: nothing is lost on the way, and nothing grows.
    let next = Record { headers: made, ..record };
    let again = Cause::of(&next);
    assert_eq!(again.traceparent, cause.traceparent);
    if cause.correlation_id.is_some() {
        assert_eq!(again.correlation_id, cause.correlation_id);
    }
    let lineage = again.lineage.as_deref().expect("the writer is in the lineage");
    assert!(lineage.ends_with(concat!("orders@", env!("CARGO_PKG_VERSION"))), "{lineage}");
    let later = again.headers::<Orders>("OrderConfirmed", SUBJECT, Timestamp(2));
    assert_eq!(later.lineage(), Some(lineage), "several hops in one service count as one");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let all = [
        (names::ID, "01a1fd97-fa64-71f6-92dc-59ea11e1fb22"),
        (names::SOURCE, "orders"),
        (names::TYPE, "OrderValidated"),
        (names::TIME, "2026-11-21T10:12:38.253Z"),
        (names::SUBJECT, SUBJECT),
        (names::SPEC_VERSION, "1.0"),
        (names::TRACEPARENT, TRACE),
        (names::CORRELATION_ID, "01a1fd97-fa64-71f6-92dc-59ea11e1fb22"),
        (names::CAUSATION_ID, "orders/0/2"),
        (names::LINEAGE, "orders@0.1.0 > inventory@0.1.0 > orders@0.1.0"),
        (names::CALLER_ID, "customer:ada"),
    ];
    let whole = written(Output::default(), &all).rest(b"a key").done();
    let each = all.map(|header| written(Output::default(), &[header]).done());
    each.into_iter().chain([whole]).collect()
}
