//! fraud-check: one outcome per order, on what is known of its customer.

use crate::fixtures::AT;
use contracts::{
    Currency, Money, OrderId,
    fraud::{Change, Exposure},
    orders::{OrderValidation, Outcome},
    topics::{EXPOSURES, ORDER_VALIDATIONS},
};
use fraud::{domain::exposure::Terms, processor::CheckProcessor};
use std::time::Duration;
use streams::{MemoryStore, Record};
use testkit::{Driver, apply_twice};
use uuid::Uuid;

fn checks() -> CheckProcessor {
    CheckProcessor::new(Terms { limit_minor: 1000, window: Duration::from_secs(3600) })
}

fn driver() -> Driver<CheckProcessor> {
    let mut driver = Driver::new(checks());
    driver.at(AT);
    driver
}

fn record(
    driver: &mut Driver<CheckProcessor>,
    (id, customer): (u128, &str),
    change: Change,
    minor: i64,
) -> Record {
    let exposure = Exposure {
        customer_id: customer.parse().unwrap(),
        order_id: OrderId(Uuid::from_u128(id)),
        change,
        value: Money::new(minor, Currency::EUR),
        requested_at: AT,
    };
    driver.record(&EXPOSURES, &exposure.customer_id, &exposure, "fraud")
}

/// The one outcome that comes of the order, also if its record comes twice.
fn outcome(
    driver: &mut Driver<CheckProcessor>,
    order: (u128, &str),
    minor: i64,
) -> OrderValidation {
    let record = record(driver, order, Change::Opened, minor);
    let fed = apply_twice(driver, &record, &[ORDER_VALIDATIONS.name()]);
    let [outcome] = &driver.sent_on(&ORDER_VALIDATIONS, &fed.sent)[..] else { panic!("{fed:?}") };
    assert_eq!((outcome.order_id.0.as_u128(), outcome.check.as_str()), (order.0, "fraud"));
    outcome.clone()
}

#[test]
fn a_customer_with_too_much_open_value_is_declined_and_no_other() {
    let mut driver = driver();
    assert_eq!(outcome(&mut driver, (1, "ada"), 800).outcome, Outcome::Passed);
    let declined = outcome(&mut driver, (2, "ada"), 300);
    assert_eq!(declined.outcome, Outcome::Failed);
    assert_eq!(declined.code, "too_much_open_value");
    assert!(declined.detail.contains("11.00 EUR") && declined.detail.contains("10.00 EUR"));
    assert_eq!(outcome(&mut driver, (3, "grace"), 300).outcome, Outcome::Passed);
    for (id, minor) in [(1, 800), (2, 300)] {
        let over = record(&mut driver, (id, "ada"), Change::FellThrough, minor);
        assert!(apply_twice(&mut driver, &over, &[]).sent.is_empty());
    }
    assert_eq!(outcome(&mut driver, (4, "ada"), 1000).outcome, Outcome::Passed);
}

#[test]
fn a_record_under_another_key_is_a_dead_letter() {
    let mut driver = driver();
    let good = record(&mut driver, (1, "ada"), Change::Opened, 1);
    let foreign = Record { key: Some(b"grace".to_vec()), ..good };
    let fed = driver.feed_record(&foreign);
    assert!(fed.dead_letter.unwrap().contains("it is about ada"));
}

#[test]
fn a_lost_store_is_what_its_input_says() {
    let mut driver = driver();
    let records = [
        record(&mut driver, (1, "ada"), Change::Opened, 800),
        record(&mut driver, (2, "ada"), Change::Opened, 300),
        record(&mut driver, (2, "ada"), Change::FellThrough, 300),
        record(&mut driver, (3, "grace"), Change::Opened, 5),
    ];
    for record in &records {
        driver.feed_record(record);
    }
    let state = driver.state();
    driver.store = MemoryStore::default();
    records.iter().for_each(|record| driver.restore(record));
    assert_eq!(driver.state(), state);
}
