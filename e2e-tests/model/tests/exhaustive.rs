//! Every way in which orders for the last piece can come to it, explored to the end; and rules that
//! are broken on purpose, which must be found.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use model::{Bounds, Broken, Shop};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

const NO_FAULTS: Bounds =
    Bounds { cancellations: 0, restarts: 0, calls: 0, repeats: 0, deadlines: 0 };

/// Visit every state of the shop; all laws hold in each of them.
fn holds(orders: usize, bounds: Bounds) {
    let started = Instant::now();
    let shop = Shop { orders, bounds, broken: None };
    let checker = shop.checker().threads(2).spawn_bfs().join();
    println!(
        "{orders} orders, {bounds:?}: {} states, {} steps, about {} deep, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed()
    );
    checker.assert_properties();
}

/// With `broken` the checker finds a path to where `law` does not hold.
fn is_found(broken: Broken, bounds: Bounds, law: &'static str) {
    let shop = Shop { orders: 2, bounds, broken: Some(broken) };
    let found = HasDiscoveries::AnyOf([law].into());
    let checker = shop.checker().threads(2).finish_when(found).spawn_bfs().join();
    let path = checker.discovery(law).unwrap_or_else(|| {
        panic!("{broken:?} breaks other laws: {:?}", checker.discoveries().keys())
    });
    println!("{broken:?} breaks `{law}`:");
    path.into_actions().iter().for_each(|action| println!("  {action:?}"));
}

#[test]
fn two_orders_race_for_the_last_piece_and_may_be_cancelled() {
    holds(2, Bounds { cancellations: 2, ..NO_FAULTS });
}

#[test]
fn the_deadline_may_pass_at_any_moment() {
    holds(2, Bounds { deadlines: 1, cancellations: 1, ..NO_FAULTS });
}

#[test]
fn orders_may_die_between_its_commit_and_its_store() {
    holds(2, Bounds { restarts: 1, cancellations: 1, ..NO_FAULTS });
}

#[test]
fn the_bank_may_lose_requests_and_answers_until_the_deadline() {
    holds(2, Bounds { calls: 1, deadlines: 1, ..NO_FAULTS });
}

#[test]
fn any_record_may_come_again() {
    holds(2, Bounds { repeats: 1, cancellations: 1, ..NO_FAULTS });
}

#[test]
fn everything_may_happen_to_one_order() {
    holds(1, Bounds { cancellations: 1, restarts: 1, calls: 1, repeats: 1, deadlines: 1 });
}

#[test]
fn the_bank_may_fail_twice() {
    holds(1, Bounds { calls: 2, deadlines: 1, cancellations: 1, ..NO_FAULTS });
}

#[test]
fn a_charge_without_its_idempotency_key_is_found() {
    is_found(Broken::NoIdempotencyKey, Bounds { calls: 1, ..NO_FAULTS }, "money is taken once");
}

#[test]
fn a_late_charge_that_is_not_voided_is_found() {
    is_found(
        Broken::NoVoid,
        Bounds { deadlines: 1, ..NO_FAULTS },
        "at rest money is kept for confirmed orders alone",
    );
}

#[test]
fn a_release_for_whoever_holds_the_piece_is_found() {
    is_found(Broken::ReleaseIgnoresItsOrder, NO_FAULTS, "nobody refuses a record");
}

#[test]
fn an_own_log_that_is_not_restored_to_its_end_is_found() {
    is_found(
        Broken::OwnLogToTheCommittedOffset,
        Bounds { restarts: 1, cancellations: 1, ..NO_FAULTS },
        "an order has one history",
    );
}
