//! Time ends what nothing else has ended.

use std::time::Duration;

use contracts::{Order, Status, Timestamp, inventory::OrderValidation, topics::ORDERS};
use orders::domain::Entry;
use streams::record::names;

use crate::{
    fixtures::{DEADLINE, NOW, order_id, passed, place},
    shop::{Shop, partition},
};

#[test]
fn a_requested_order_ends_at_its_deadline_and_not_before() {
    let mut shop = Shop::new();
    shop.command(place(1));
    shop.read_back();
    shop.validation(&passed(1, "TEA"));
    shop.at(Timestamp((NOW + DEADLINE).millis() - 1));
    assert_eq!(shop.tick(), []);
    shop.at(NOW + DEADLINE);
    let sent = shop.tick();
    let [order]: [Order; 1] = shop.driver.sent_on(&ORDERS, &sent).try_into().unwrap();
    assert_eq!((order.status, &*order.reasons[0].code), (Status::Cancelled, "deadline"));
    assert!(order.reasons[0].detail.contains("inventory:MUG"), "{:?}", order.reasons);
    assert_eq!(shop.tick(), [], "one proposal in flight");
    shop.settle();
    assert_eq!(shop.tick(), []);
}

#[test]
fn what_time_writes_belongs_to_the_orders_story() {
    let mut shop = Shop::new();
    shop.command(place(1));
    shop.read_back();
    shop.at(NOW + DEADLINE);
    let sent = shop.tick();
    let headers = &sent[0].headers;
    let expected = format!("orders/{}/0", partition(order_id(1)));
    assert_eq!(headers.get(names::CAUSATION_ID), Some(&*expected));
    assert_eq!(headers.get(names::CORRELATION_ID), Some(&*order_id(1).to_string()));
    assert!(headers.lineage().unwrap().starts_with("orders@"));
    assert_eq!(headers.get(names::TYPE), Some("OrderCancelled"));
}

#[test]
fn an_order_that_is_not_ours_to_end_or_not_in_the_log_yet_is_left_alone() {
    let mut shop = Shop::new();
    shop.command(place(1));
    shop.command(place(2));
    shop.read_back();
    shop.validation(&passed(1, "TEA"));
    shop.validation(&passed(1, "MUG"));
    shop.at(NOW + DEADLINE);
    assert_eq!(shop.tick(), [], "1 is being validated, 2 is being requested");
    // Read back, the second one is over at once; the first is payments' to end.
    while shop.read_back().is_some() {}
    let status = |id| shop.entry(order_id(id)).order.unwrap().status;
    assert_eq!((status(1), status(2)), (Status::Validated, Status::Cancelled));
}

/// As long as outcomes wait for an order: the longest deadline and a day.
const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

#[test]
fn an_outcome_whose_order_never_comes_is_forgotten_also_after_a_restore() {
    for loses_everything in [false, true] {
        let mut shop = Shop::new();
        shop.validation(&passed(1, "TEA"));
        // A clock that is ahead gains nothing by it.
        shop.validation(&OrderValidation { decided_at: NOW + 9 * MONTH, ..passed(2, "TEA") });
        shop.at(Timestamp((NOW + MONTH).millis() - 1));
        assert_eq!(shop.tick(), []);
        assert_eq!(shop.entry(order_id(1)).outcomes.len(), 1);
        shop.at(NOW + MONTH);
        assert_eq!(shop.tick(), []);
        assert!(shop.driver.state().iter().all(Vec::is_empty), "nothing is kept");
        if loses_everything {
            shop.lose_everything();
            assert_eq!(shop.entry(order_id(1)).outcomes.len(), 1, "its topic still has it");
            shop.tick();
            assert_eq!(shop.entry(order_id(1)), Entry::default());
        }
    }
}

#[test]
fn an_outcome_that_comes_before_its_order_is_kept_as_long_as_the_order_needs_it() {
    let mut shop = Shop::new();
    shop.validation(&passed(1, "TEA"));
    shop.at(NOW + MONTH);
    shop.command(place(1));
    shop.tick();
    shop.read_back();
    shop.tick();
    shop.validation(&passed(1, "MUG"));
    shop.settle();
    assert_eq!(shop.orders()[0].status, Status::Confirmed);
}

#[test]
fn forgetting_is_worked_off_in_bounded_steps() {
    let mut shop = Shop::new();
    let ids: Vec<u128> = (1..).filter(|id| partition(order_id(*id)) == 0).take(450).collect();
    for id in &ids {
        shop.validation(&passed(*id, "TEA"));
    }
    shop.at(NOW + MONTH);
    let kept = |shop: &Shop| {
        let waits = |id: &&u128| shop.entry(order_id(**id)) != Entry::default();
        ids.iter().filter(waits).count()
    };
    let left: Vec<_> = (0..3)
        .map(|_| {
            shop.tick();
            kept(&shop)
        })
        .collect();
    assert_eq!(left, [250, 50, 0]);
}

#[test]
fn a_backlog_is_worked_off_in_bounded_steps() {
    let mut shop = Shop::new();
    let ids: Vec<u128> = (1..).filter(|id| partition(order_id(*id)) == 0).take(450).collect();
    for id in ids {
        shop.command(place(id));
        shop.read_back();
    }
    shop.at(NOW + DEADLINE);
    let ended: Vec<_> = (0..4).map(|_| shop.tick().len()).collect();
    assert_eq!(ended, [200, 200, 50, 0]);
}
