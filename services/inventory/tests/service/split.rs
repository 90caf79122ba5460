//! inventory-split: what each transition of an order asks of the stock of its products.

use crate::fixtures::{
    AT, cancelled, confirmed, declined, order_id, paid, refunded, rejected, requested, sku,
    validated,
};
use contracts::{
    Order,
    inventory::{Commit, InventoryCommand, Release, Reserve},
    topics::{INVENTORY_COMMANDS, Key, ORDERS},
};
use inventory::SplitProcessor;
use streams::{Headers, record::names};
use testkit::{Driver, apply_twice};

fn writer(order: &Order) -> &'static str {
    contracts::baton::writer(order.transition).expect("every transition is in the table").as_str()
}

/// Which commands `order` gives; that it gives no more the second time is not asked, as the
/// receiver is the one who counts each once.
#[track_caller]
fn check(order: &Order, then: &[InventoryCommand]) {
    let mut driver = Driver::new(SplitProcessor);
    driver.at(AT);
    let record = driver.record(&ORDERS, &order.order_id, order, writer(order));
    let fed = apply_twice(&mut driver, &record, &[]);
    assert_eq!(fed.dead_letter, None);
    assert_eq!(driver.sent_on(&INVENTORY_COMMANDS, &fed.sent), then);
    for (sent, command) in fed.sent.iter().zip(then) {
        assert_eq!(sent.key, Some(command.sku().to_bytes()), "keyed by sku");
        assert_eq!(sent.headers.get(names::CAUSATION_ID), Some(record.address().as_str()));
        assert!(sent.headers.lineage().is_some_and(|l| l.contains("inventory@")));
    }
}

fn two_lines() -> Order {
    requested(&[("TEA", 2), ("MUG", 1)])
}

fn reserve(name: &str, quantity: i32) -> InventoryCommand {
    Reserve { sku: sku(name), order_id: order_id(1), quantity, issued_at: AT }.into()
}

fn release(name: &str) -> InventoryCommand {
    Release { sku: sku(name), order_id: order_id(1), issued_at: AT }.into()
}

fn commit(name: &str) -> InventoryCommand {
    Commit { sku: sku(name), order_id: order_id(1), issued_at: AT }.into()
}

#[test]
fn each_transition_asks_for_one_command_per_line_or_for_none() {
    let order = two_lines();
    let released = [release("TEA"), release("MUG")];
    check(&order, &[reserve("TEA", 2), reserve("MUG", 1)]);
    check(&rejected(&order), &released);
    check(&cancelled(&order), &released);
    check(&cancelled(&declined(&order)), &released);
    check(&cancelled(&paid(&order)), &released);
    check(&confirmed(&order), &[commit("TEA"), commit("MUG")]);
    for on_its_way in [validated(&order), paid(&order), declined(&order), refunded(&order)] {
        check(&on_its_way, &[]);
    }
}

#[track_caller]
fn check_poison(order: &Order, source: &str, cause: &str) {
    let mut driver = Driver::new(SplitProcessor);
    let fed = driver.feed(&ORDERS, &order_id(1), order, source);
    assert!(fed.sent.is_empty(), "{:?}", fed.sent);
    let found = fed.dead_letter.expect("a dead letter");
    assert!(found.contains(cause), "{found}");
}

#[test]
fn an_order_that_cannot_be_is_a_dead_letter_and_reserves_nothing() {
    let order = two_lines();
    check_poison(&Order { order_id: order_id(7), ..order.clone() }, "orders", "the record's key");
    check_poison(&Order { version: 3, ..order.clone() }, "orders", "as version 3");
    check_poison(&order, "payments", "orders's to write");
    check_poison(&paid(&order), "orders", "payments's to write");
    check_poison(&requested(&[]), "orders", "lines has 0 entries, not 1 to 50");
    check_poison(&requested(&[("TEA", 1); 51]), "orders", "lines has 51 entries");
    check_poison(&requested(&[("TEA", 1), ("TEA", 2)]), "orders", "lines[1].sku repeats TEA");
    check_poison(&requested(&[("MUG", 1), ("TEA", 0)]), "orders", "lines[1].quantity is 0");
    check_poison(&requested(&[("TEA", 1001)]), "orders", "lines[0].quantity is 1001");
}

#[test]
fn bytes_that_are_no_order_are_a_dead_letter() {
    let mut driver = Driver::new(SplitProcessor);
    for (bytes, cause) in [(b"garbage".to_vec(), "wire format"), (vec![0, 0, 0, 0, 99], "id 99")] {
        let record = driver.raw_record(&ORDERS, &order_id(1), bytes, Headers::default());
        let found = driver.feed_record(&record).dead_letter.unwrap();
        assert!(found.contains(cause), "{found}");
    }
}
