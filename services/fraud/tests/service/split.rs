//! fraud-split: what each transition of an order changes for its customer.

use crate::fixtures::{AT, cancelled, rejected, requested, validated};
use contracts::{
    Order,
    fraud::{Change, Exposure},
    topics::{EXPOSURES, Key, ORDERS},
};
use fraud::processor::SplitProcessor;
use testkit::Driver;

#[track_caller]
fn check(order: &Order, expected: Option<Change>) {
    let mut driver = Driver::new(SplitProcessor);
    driver.at(AT);
    let fed = driver.feed(&ORDERS, &order.order_id, order, "orders");
    assert_eq!(fed.dead_letter, None);
    let expected = expected.map(|change| Exposure {
        customer_id: order.customer.customer_id.clone(),
        order_id: order.order_id,
        change,
        value: order.total.clone(),
        requested_at: order.requested_at,
    });
    assert_eq!(driver.sent_on(&EXPOSURES, &fed.sent), expected.into_iter().collect::<Vec<_>>());
    assert!(fed.sent.iter().all(|sent| sent.key == Some(order.customer.customer_id.to_bytes())));
}

#[test]
fn orders_that_begin_or_fall_through_are_told_to_the_partition_of_their_customer() {
    let order = requested(1, "ada", 1300);
    check(&order, Some(Change::Opened));
    check(&rejected(&order), Some(Change::FellThrough));
    check(&cancelled(&order), Some(Change::FellThrough));
    check(&validated(&order), None);
}

#[test]
fn a_transition_by_another_writer_than_the_law_has_is_a_dead_letter() {
    let order = requested(1, "ada", 1300);
    let mut driver = Driver::new(SplitProcessor);
    let fed = driver.feed(&ORDERS, &order.order_id, &order, "payments");
    assert!(fed.dead_letter.is_some() && fed.sent.is_empty(), "{fed:?}");
}
