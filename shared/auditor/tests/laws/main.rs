//! Each law against a clean shop in which one thing was changed: exactly that law must say so.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod lives;
mod mutations;
mod shop;
mod ways_out;

use auditor::{Law, Scope, audit, audit_of};
use lives::lives;
use mutations::{MUTATIONS, find};
use std::{collections::BTreeSet, time::Duration};

#[test]
fn a_shop_that_makes_no_mistake_is_clean() {
    let verdict = audit(&lives().close());
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.pending(), 0, "{verdict}");
    for (law, tally) in &verdict.tallies {
        assert!(tally.checked > 0, "{law} was not looked at");
    }
    assert_eq!(verdict.orders, 8);
}

#[test]
fn each_change_breaks_exactly_its_law() {
    for (law, what, mutate) in MUTATIONS {
        let mut lives = lives();
        mutate(&mut lives);
        let verdict = audit(&lives.close());
        assert_eq!(verdict.violated(), BTreeSet::from([*law]), "{what}\n{verdict}");
    }
}

#[test]
fn each_law_can_be_broken() {
    let broken: BTreeSet<Law> = MUTATIONS.iter().map(|(law, ..)| *law).collect();
    let all: BTreeSet<Law> = Law::ALL.iter().copied().collect();
    assert_eq!(broken, all);
}

#[test]
fn what_happened_a_moment_ago_is_pending() {
    // With the grace as long as the shop is old, everything that can come late is on its way.
    for (law, what, mutate) in MUTATIONS.iter().filter(|(_, what, _)| what.ends_with("missing")) {
        let mut lives = lives();
        mutate(&mut lives);
        let mut evidence = lives.close();
        evidence.grace = Duration::from_secs(24 * 3600);
        let verdict = audit(&evidence);
        assert!(verdict.is_clean(), "{law}: {what}\n{verdict}");
        assert!(verdict.pending() > 0, "{law}: {what}\n{verdict}");
    }
}

#[test]
fn an_order_on_its_way_is_no_violation() {
    let mut lives = lives();
    let order = lives.shop.place("TEA", 1);
    lives.shop.check(&order, true);
    let now = lives.shop.now();
    let mut evidence = lives.close();
    evidence.taken_at = now;
    let verdict = audit(&evidence);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.pending(), 1, "only its end is to come\n{verdict}");
}

#[test]
fn a_mail_that_waits_for_the_mail_server_is_no_violation() {
    let mut lives = lives();
    let (id, tomorrow) = (lives.confirmed, lives.shop.now() + Duration::from_secs(24 * 3600));
    lives.shop.mail_waits(id, tomorrow);
    let verdict = audit(&lives.close());
    assert!(verdict.is_clean(), "{verdict}");
    assert!(verdict.pending() > 0, "{verdict}");
}

#[test]
fn a_scope_leaves_out_what_others_did() {
    let mut lives = lives();
    let (confirmed, others) = (lives.confirmed, [lives.rejected, lives.declined, lives.refunded]);
    let rows = &mut lives.evidence().view.orders;
    find(rows, |row| row.order_id == confirmed).status = "paid".into();
    let evidence = lives.close();
    assert!(audit_of(&evidence, &Scope::of(others, [])).is_clean());
    let ours = audit_of(&evidence, &Scope::of([confirmed], []));
    assert_eq!(ours.violated(), BTreeSet::from([Law::ViewOrders]));
}

#[test]
fn a_report_names_the_law_and_tells_the_story() {
    let mut lives = lives();
    let confirmed = lives.confirmed;
    let rows = &mut lives.evidence().view.orders;
    find(rows, |row| row.order_id == confirmed).status = "paid".into();
    let report = audit(&lives.close()).to_string();
    let said = "VIEW: ORDERS: The view's orders are the fold of the log.";
    assert!(report.contains(said), "{report}");
    assert!(report.contains("PaymentReceived -> paid, version 3"), "{report}");
    assert!(report.contains("NOT CLEAN: 1 violations of 1 laws"), "{report}");
}

#[test]
fn the_page_of_guarantees_has_every_law() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guarantees.md");
    let page = std::fs::read_to_string(page).unwrap();
    for law in Law::ALL {
        let row = format!("| {law} | {} |", law.statement());
        assert!(page.contains(&row), "docs/guarantees.md lacks {row}");
    }
}
