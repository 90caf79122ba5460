//! Goal: each event on `orders` is acted upon or left alone by name, and poison says why it is one.

use super::*;
use contracts::{Timestamp, topics::Key};
use std::sync::Arc;
use streams::{Headers, MemoryRegistry, record::names};
use testkit::orders::{cancelled_after_payment, requested, validated};

const DEADLINE: Timestamp = Timestamp(1_000);

fn codec() -> Codec {
    Codec::new(Arc::new(MemoryRegistry::default()))
}

fn record(codec: &Codec, order: &Order, source: &str) -> Record {
    let mut headers = Headers::default();
    headers.push(names::SOURCE, source);
    Record {
        topic: topics::ORDERS.name().into(),
        partition: 0,
        offset: 7,
        timestamp_ms: 0,
        key: Some(order.order_id.to_bytes()),
        value: Some(codec.encode(&topics::ORDERS.spec, order).unwrap()),
        headers,
    }
}

fn react(order: &Order, source: &str) -> Result<Reaction, Failure> {
    let codec = codec();
    reaction(&codec, &record(&codec, order, source))
}

fn poison(result: Result<Reaction, Failure>) -> String {
    match result {
        Err(Failure::Poison(cause)) => cause,
        other => panic!("expected poison, got {other:?}"),
    }
}

#[test]
fn payments_acts_when_it_holds_the_baton() {
    let order = validated(DEADLINE);
    let expected = Reaction::Decide(order.order_id, Input::OrderValidated(order.clone()).into());
    assert_eq!(react(&order, "orders").unwrap(), expected);
    let order = cancelled_after_payment(&order);
    let expected = Reaction::Decide(order.order_id, Input::RefundDue(order.clone()).into());
    assert_eq!(react(&order, "orders").unwrap(), expected);
}

#[test]
fn the_other_events_are_left_alone_by_name() {
    use contracts::transitions::{OrderCancelled, PaymentReceived};
    let asked = requested(DEADLINE);
    let nothing = |order: &Order, source| match react(order, source).unwrap() {
        Reaction::Nothing(why) => why,
        other => panic!("expected nothing, got {other:?}"),
    };
    assert_eq!(nothing(&asked, "orders"), NotForUs::OrdersHoldsTheBaton);
    let reason = contracts::Reason::new("customer", "cancelled_by_customer", "");
    let cancelled = asked.next(OrderCancelled { reason }, DEADLINE).unwrap();
    assert_eq!(nothing(cancelled.order(), "orders"), NotForUs::Settled);
    let received = PaymentReceived { reference: "ch_1".into(), at: DEADLINE };
    let paid = validated(DEADLINE).next(received, DEADLINE).unwrap();
    let returned = react(paid.order(), "payments").unwrap();
    assert_eq!(returned, Reaction::Returned(outbox::row_of(paid.order())));
}

#[test]
fn poison_says_why() {
    let order = validated(DEADLINE);
    let wrong = |edit: fn(&mut Order)| {
        let mut wrong = order.clone();
        edit(&mut wrong);
        poison(react(&wrong, "orders"))
    };
    assert!(wrong(|order| order.total.amount_minor = -1).contains("not the sum of its lines"));
    assert!(wrong(|order| order.version = 3).contains("as version 3"));
    assert!(poison(react(&order, "view")).contains("but view wrote it"));

    let codec = codec();
    let good = record(&codec, &order, "orders");
    let mut no_currency = good.clone();
    testkit::spoil(no_currency.value.as_mut().unwrap(), "EUR", "eu\0");
    let told = poison(reaction(&codec, &no_currency));
    assert!(told.contains("\"eu\\0\", not three capital letters"), "{told}");
    let foreign_key = Record { key: Some(requested(DEADLINE).order_id.to_bytes()), ..good.clone() };
    assert!(poison(reaction(&codec, &foreign_key)).contains("the record's key is"));
    let no_value = Record { value: None, ..good.clone() };
    assert!(poison(reaction(&codec, &no_value)).contains("no value"));
    let garbage = Record { value: Some(b"garbage".to_vec()), ..good };
    assert!(poison(reaction(&codec, &garbage)).contains("wire format"));
}
