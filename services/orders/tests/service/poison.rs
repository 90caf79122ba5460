//! What can never be handled goes to the dead letters, with its cause, and changes nothing.

use contracts::{
    Order, Reason, Status,
    inventory::OrderValidation,
    orders::OrderCommand,
    topics::{ORDER_COMMANDS, ORDER_VALIDATIONS, ORDERS},
};
use orders::processor::OrdersProcessor;
use streams::{Headers, Record};
use testkit::Driver;

use crate::fixtures::{catalog, order_at, order_id, passed, place, requested, terms};

/// A driver that knows order 1 as requested.
fn driver() -> Driver<OrdersProcessor> {
    let mut driver = Driver::new(OrdersProcessor::new(catalog(), terms()));
    driver.feed(&ORDERS, &order_id(1), &requested(1), "orders");
    driver
}

/// Feeds what `record` makes; it must be poison because of `cause`, and be skipped by a restore.
fn check(record: impl Fn(&mut Driver<OrdersProcessor>) -> Record, cause: &str) {
    let mut driver = driver();
    let state = driver.state();
    let record = record(&mut driver);
    let fed = driver.feed_record(&record);
    let told = fed.dead_letter.unwrap_or_else(|| panic!("accepted, and not refused as `{cause}`"));
    assert!(told.contains(cause), "expected `{cause}`, got `{told}`");
    assert!(fed.sent.is_empty(), "{:?}", fed.sent);
    assert_eq!(driver.state(), state, "{cause}");
    driver.restore(&record);
    assert_eq!(driver.state(), state, "restored: {cause}");
}

fn transition(
    order: &Order,
    source: &'static str,
) -> impl Fn(&mut Driver<OrdersProcessor>) -> Record {
    let order = order.clone();
    move |driver| driver.record(&ORDERS, &order_id(1), &order, source)
}

fn outcome(validation: &OrderValidation) -> impl Fn(&mut Driver<OrdersProcessor>) -> Record {
    let validation = validation.clone();
    move |driver| driver.record(&ORDER_VALIDATIONS, &order_id(1), &validation, "inventory")
}

#[test]
fn bytes_that_are_no_message() {
    for topic in 0..3 {
        let garbage = move |driver: &mut Driver<OrdersProcessor>| {
            let (bytes, headers) = (b"garbage".to_vec(), Headers::default());
            match topic {
                0 => driver.raw_record(&ORDER_COMMANDS, &order_id(1), bytes, headers),
                1 => driver.raw_record(&ORDER_VALIDATIONS, &order_id(1), bytes, headers),
                _ => driver.raw_record(&ORDERS, &order_id(1), bytes, headers),
            }
        };
        check(garbage, "the first byte is 0x67");
        let foreign = move |driver: &mut Driver<OrdersProcessor>| {
            let mut record = garbage(driver);
            record.value = Some(vec![0, 0, 0, 0x27, 0x0f, 1]);
            record
        };
        check(foreign, "schema id 9999");
        let tombstone =
            move |driver: &mut Driver<OrdersProcessor>| Record { value: None, ..garbage(driver) };
        check(tombstone, "no value");
    }
}

#[test]
fn a_record_that_does_not_stand_where_its_order_says() {
    let command = || OrderCommand::from(place(1));
    let other_key = |driver: &mut Driver<OrdersProcessor>| {
        driver.record(&ORDER_COMMANDS, &order_id(2), &command(), "test")
    };
    check(other_key, "but its order is");
    let no_key = |driver: &mut Driver<OrdersProcessor>| {
        let record = driver.record(&ORDER_COMMANDS, &order_id(1), &command(), "test");
        Record { key: None, ..record }
    };
    check(no_key, "no key");
    let elsewhere = |driver: &mut Driver<OrdersProcessor>| {
        let record = driver.record(&ORDER_COMMANDS, &order_id(1), &command(), "test");
        Record { partition: (record.partition + 1) % 3, ..record }
    };
    check(elsewhere, "belongs on partition");
}

#[test]
fn a_transition_that_cannot_be() {
    let paid = order_at(Status::Paid, 1);
    let validated = order_at(Status::Validated, 1);
    check(transition(&paid, "payments"), "version 3 cannot follow version 1");
    check(transition(&validated, "payments"), "OrderValidated is orders's to write");
    let anonymous = transition(&validated, "orders");
    let anonymous = move |driver: &mut Driver<OrdersProcessor>| Record {
        headers: Headers::default(),
        ..anonymous(driver)
    };
    check(anonymous, "OrderValidated is orders's to write, but nobody wrote it");
    check(transition(&Order { version: 7, ..validated.clone() }, "orders"), "no order can reach");
    let elsewhere = Order { status: Status::Paid, ..validated };
    check(transition(&elsewhere, "orders"), "no order can reach paid");
    let mut other_lines = requested(1);
    other_lines.lines.reverse();
    check(transition(&other_lines, "orders"), "version 1 is known with another content");
}

#[test]
fn an_outcome_that_is_malformed() {
    let valid = passed(1, "TEA");
    let empty = OrderValidation { check: String::new(), ..valid.clone() };
    check(outcome(&empty), "check has 0 bytes");
    let long = OrderValidation { check: "x".repeat(129), ..valid.clone() };
    check(outcome(&long), "check has 129 bytes");
    let coded = OrderValidation { code: String::new(), ..valid.clone() };
    check(outcome(&coded), "code has 0 bytes");
    for field in ["check", "code", "detail"] {
        let mut ugly = OrderValidation { detail: "why".into(), ..valid.clone() };
        match field {
            "check" => ugly.check.push('\0'),
            "code" => ugly.code.push('\n'),
            _ => ugly.detail.push('\u{1b}'),
        }
        check(outcome(&ugly), &format!("{field} holds the control character"));
    }
    let told = OrderValidation { detail: "x".repeat(1025), ..valid };
    check(outcome(&told), "detail has 1025 bytes");
}

#[test]
fn outcomes_for_an_order_that_never_comes_are_bounded() {
    let mut driver = driver();
    let outcome = |n: usize| OrderValidation { check: format!("check-{n}"), ..passed(2, "TEA") };
    for n in 0..128 {
        let fed = driver.feed(&ORDER_VALIDATIONS, &order_id(2), &outcome(n), "inventory");
        assert_eq!(fed.dead_letter, None);
    }
    let fed = driver.feed(&ORDER_VALIDATIONS, &order_id(2), &outcome(128), "inventory");
    assert!(fed.dead_letter.unwrap().contains("128 outcomes"));
}

#[test]
fn a_transition_that_contradicts_the_log_is_poison_even_when_it_is_ours() {
    let mut driver = driver();
    let first = order_at(Status::Validated, 1);
    let reasons = vec![Reason::new("x", "y", "z")];
    assert_eq!(driver.feed(&ORDERS, &order_id(1), &first, "orders").dead_letter, None);
    let second = Order { reasons, ..order_at(Status::Rejected, 1) };
    let fed = driver.feed(&ORDERS, &order_id(1), &second, "orders");
    let cause = "version 2 is known with another content: OrderValidated, not OrderRejected";
    assert_eq!(fed.dead_letter.as_deref(), Some(cause));
}
