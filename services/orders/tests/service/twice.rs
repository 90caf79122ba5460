//! Each handler is applied twice: the second time changes nothing and proposes nothing.

use contracts::{
    Order,
    topics::{ORDER_COMMANDS, ORDER_VALIDATIONS, ORDERS, ORDERS_LATEST},
};
use orders::processor::OrdersProcessor;
use testkit::{Driver, apply_twice};

use crate::fixtures::{
    DEADLINE, NOW, cancel, catalog, order_id, paid, passed, place, requested, terms,
};

/// Where a second transition would show. Refusals and copies may be repeated: they are keyed.
const ONCE: &[&str] = &["orders"];

fn driver() -> Driver<OrdersProcessor> {
    Driver::new(OrdersProcessor::new(catalog(), terms()))
}

/// A driver that knows order 1 as requested.
fn with_order() -> Driver<OrdersProcessor> {
    let mut driver = driver();
    driver.feed(&ORDERS, &order_id(1), &requested(1), "orders");
    driver
}

#[test]
fn place_order() {
    let mut driver = driver();
    let record = driver.record(&ORDER_COMMANDS, &order_id(1), &place(1).into(), "test");
    let first = apply_twice(&mut driver, &record, ONCE);
    assert_eq!(driver.sent_on(&ORDERS, &first.sent).len(), 1);
}

#[test]
fn cancel_order() {
    let mut driver = with_order();
    let record = driver.record(&ORDER_COMMANDS, &order_id(1), &cancel(1, 9).into(), "test");
    let first = apply_twice(&mut driver, &record, ONCE);
    assert_eq!(driver.sent_on(&ORDERS, &first.sent).len(), 1);
}

#[test]
fn order_validation() {
    let mut driver = with_order();
    let mut sent = 0;
    for name in ["TEA", "MUG"] {
        let record = driver.record(&ORDER_VALIDATIONS, &order_id(1), &passed(1, name), "inventory");
        let first = apply_twice(&mut driver, &record, ONCE);
        sent += driver.sent_on(&ORDERS, &first.sent).len();
    }
    assert_eq!(sent, 1);
}

#[test]
fn order_transition() {
    let mut driver = with_order();
    driver.feed(&ORDER_VALIDATIONS, &order_id(1), &passed(1, "TEA"), "inventory");
    let fed = driver.feed(&ORDER_VALIDATIONS, &order_id(1), &passed(1, "MUG"), "inventory");
    let [validated] = driver.sent_on(&ORDERS, &fed.sent).try_into().unwrap();
    for (order, source) in [(&validated, "orders"), (&paid(&validated), "payments")] {
        let record = driver.record(&ORDERS, &order_id(1), order, source);
        let first = apply_twice(&mut driver, &record, ONCE);
        let latest = driver.sent_on(&ORDERS_LATEST, &first.sent);
        assert_eq!(latest.len(), 1);
        let latest: &Order = &latest[0].0;
        assert_eq!(latest, order);
    }
}

#[test]
fn deadline() {
    let mut driver = with_order();
    driver.at(NOW + DEADLINE);
    assert_eq!(driver.tick().len(), 1);
    let state = driver.state();
    assert_eq!(driver.tick(), []);
    assert_eq!(driver.state(), state);
}
