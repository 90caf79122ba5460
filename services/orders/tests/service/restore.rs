//! The state is the fold of the log: lost at any moment, it comes back the same, and what follows
//! is what would have followed.

use contracts::{
    Status,
    inventory::OrderValidation,
    orders::{CommandRefused, PlaceOrder},
};
use orders::{catalog::Catalog, domain::place_order::REFUSED_MAX, processor::OrdersProcessor};

use crate::{
    fixtures::{cancel, catalog, command_id, failed, order_id, paid, passed, place, terms},
    shop::Shop,
};

type Step = Box<dyn Fn(&mut Shop)>;

fn step(step: impl Fn(&mut Shop) + 'static) -> Step {
    Box::new(step)
}

fn read_back() -> Step {
    step(|shop| drop(shop.read_back()))
}

fn check(validation: OrderValidation) -> Step {
    step(move |shop| drop(shop.validation(&validation)))
}

/// Five orders with everything that can happen to them: confirmed, rejected, cancelled while it is
/// paid, cancelled before it is placed, waiting; repeated, contradicting, late and foreign inputs.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = vec![
        step(|shop| drop(shop.command(cancel(4, 40)))),
        check(passed(1, "MUG")),
        check(passed(1, "GOLD")),
    ];
    for id in 1..=5 {
        steps.push(step(move |shop| drop(shop.command(place(id)))));
        steps.push(step(move |shop| drop(shop.command(place(id)))));
    }
    steps.push(step(|shop| {
        let reused = PlaceOrder { command_id: command_id(99), ..place(2) };
        shop.command(reused);
    }));
    steps.extend((0..3).map(|_| read_back()));
    steps.push(check(passed(1, "TEA")));
    steps.push(check(failed(1, "TEA")));
    steps.push(check(passed(2, "TEA")));
    steps.push(check(failed(2, "TEA")));
    steps.push(check(failed(2, "MUG")));
    steps.push(check(passed(3, "TEA")));
    steps.push(check(passed(3, "MUG")));
    steps.push(step(|shop| drop(shop.command(cancel(3, 30)))));
    steps.push(step(|shop| drop(shop.command(cancel(3, 31)))));
    steps.extend((0..3).map(|_| read_back()));
    steps.push(check(passed(4, "TEA")));
    steps.push(check(passed(4, "MUG")));
    steps.push(check(passed(5, "TEA")));
    steps.push(step(Shop::settle));
    steps.push(check(passed(1, "TEA")));
    steps.push(check(passed(5, "TEA")));
    steps.push(step(|shop| drop(shop.command(cancel(1, 10)))));
    steps
}

fn run(crash_after: Option<usize>) -> Shop {
    let mut shop = Shop::new();
    for (index, step) in steps().iter().enumerate() {
        step(&mut shop);
        if crash_after == Some(index) {
            shop.lose_everything();
        }
    }
    shop
}

#[test]
fn the_story_covers_what_it_says() {
    let shop = run(None);
    let statuses: Vec<_> =
        (1..=5).map(|id| shop.entry(order_id(id)).order.unwrap().status).collect();
    let expected = [
        Status::Confirmed,
        Status::Rejected,
        Status::Refunded,
        Status::Confirmed,
        Status::Requested,
    ];
    assert_eq!(statuses, expected);
    let told = |r: &CommandRefused| (r.reasons[0].code.clone(), r.order_version);
    let refused: Vec<_> = shop.refusals.iter().map(told).collect();
    let expected = [
        ("unknown_order", None),
        ("idempotency_key_reused", Some(1)),
        ("already_confirmed", Some(4)),
    ];
    assert_eq!(refused, expected.map(|(code, version)| (code.to_owned(), version)));
}

#[test]
fn what_is_restored_from_the_log_is_what_was_known() {
    for until in 0..steps().len() {
        let mut shop = Shop::new();
        steps()[..=until].iter().for_each(|step| step(&mut shop));
        // With everything read back there is nothing in flight, which a restore never has.
        while shop.read_back().is_some() {}
        let known = shop.driver.state();
        shop.lose_everything();
        assert_eq!(shop.driver.state(), known, "after step {until}");
    }
}

#[test]
fn a_restore_knows_the_order_and_the_cancellation_that_is_owed() {
    let mut shop = Shop::new();
    shop.command(place(1));
    shop.read_back();
    shop.validation(&passed(1, "TEA"));
    shop.validation(&passed(1, "MUG"));
    shop.read_back();
    shop.command(cancel(1, 9));
    shop.lose_everything();
    let entry = shop.entry(order_id(1));
    assert_eq!(entry.order.as_ref().unwrap().status, Status::Validated);
    assert_eq!(entry.cancellation, Some(command_id(9)));
    shop.settle();
    assert_eq!(shop.entry(order_id(1)).order.unwrap().status, Status::Refunded);
}

#[test]
fn what_follows_from_a_record_that_was_restored_before_it_was_processed_is_proposed() {
    let mut shop = Shop::new();
    shop.command(place(1));
    shop.read_back();
    shop.validation(&passed(1, "TEA"));
    shop.validation(&passed(1, "MUG"));
    shop.read_back();
    let validated = shop.entry(order_id(1)).order.unwrap();
    shop.payments(&paid(&validated));
    // The log is restored to its end, so the state knows of the payment before it is processed.
    shop.lose_everything();
    assert_eq!(shop.entry(order_id(1)).order.unwrap().status, Status::Paid);
    shop.read_back();
    assert_eq!(shop.entry(order_id(1)).proposed.unwrap().status, Status::Confirmed);
    shop.settle();
    assert_eq!(shop.story().len(), 4);
}

#[test]
fn a_cancellation_that_was_refused_stays_refused() {
    let mut shop = Shop::new();
    shop.command(cancel(1, 9));
    shop.command(place(1));
    shop.read_back();
    shop.lose_everything();
    assert_eq!(shop.entry(order_id(1)).cancellation, None);
}

#[test]
fn an_order_that_was_refused_stays_refused() {
    let knowing = |catalog| OrdersProcessor::new(catalog, terms());
    for loses_everything in [false, true] {
        let mut shop = Shop::new();
        shop.driver.restart(knowing(Catalog::fixed([], [])));
        shop.command(place(1));
        shop.driver.restart(knowing(catalog()));
        if loses_everything {
            shop.lose_everything();
        }
        shop.command(place(1));
        let refused: Vec<_> = shop.refusals.iter().map(|r| &*r.reasons[0].code).collect();
        assert_eq!(refused, ["unknown_customer", "refused_before"]);
        // Another command is another matter.
        shop.command(PlaceOrder { command_id: command_id(99), ..place(1) });
        shop.read_back();
        assert_eq!(shop.entry(order_id(1)).order.unwrap().placed_by, command_id(99));
        let known = shop.driver.state();
        shop.lose_everything();
        assert_eq!(shop.driver.state(), known);
    }
}

/// Beyond those that can be remembered the id is closed: so what is refused then stays refused,
/// too.
#[test]
fn refusals_of_one_order_are_bounded_and_all_of_them_last() {
    let command = |n: usize| PlaceOrder { command_id: command_id(n as u128), ..place(1) };
    for loses_everything in [false, true] {
        let mut shop = Shop::new();
        shop.driver.restart(OrdersProcessor::new(Catalog::fixed([], []), terms()));
        for n in 0..=REFUSED_MAX {
            shop.command(command(n));
        }
        assert_eq!(shop.entry(order_id(1)).refused.len(), REFUSED_MAX);
        shop.driver.restart(OrdersProcessor::new(catalog(), terms()));
        if loses_everything {
            shop.lose_everything();
        }
        shop.refusals.clear();
        for n in [0, REFUSED_MAX - 1, REFUSED_MAX, REFUSED_MAX + 1] {
            shop.command(command(n));
        }
        let refused: Vec<_> = shop.refusals.iter().map(|r| &*r.reasons[0].code).collect();
        let (before, too_often) = ("refused_before", "refused_too_often");
        assert_eq!(refused, [before, before, too_often, too_often]);
        assert_eq!(shop.entry(order_id(1)).order, None);
    }
}

#[test]
fn a_crash_after_any_step_changes_nothing_of_the_story() {
    let expected = run(None);
    for crash_after in 0..steps().len() {
        let shop = run(Some(crash_after));
        assert_eq!(shop.story(), expected.story(), "lost everything after step {crash_after}");
        assert_eq!(shop.refusals, expected.refusals, "after step {crash_after}");
        assert_eq!(shop.latest, expected.latest, "after step {crash_after}");
        assert_eq!(shop.driver.state(), expected.driver.state(), "after step {crash_after}");
    }
}
