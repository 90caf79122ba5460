//! PlaceOrder: what is accepted, and every reason against it.

use contracts::{Currency, Money, Order, Status, TransitionKind, orders::PlaceOrder};
use orders::domain::{
    Entry,
    place_order::{Decision, Input, Known, Terms, decide},
};

use crate::fixtures::{
    DEADLINE, NOW, catalog, command_id, customer_id, entry_at, lines, order_at, place, terms,
};

fn decide_on(entry: &Entry, command: &PlaceOrder) -> Decision {
    let known = Known::Now(catalog().excerpt(&command.customer_id, &command.lines));
    decide(entry, Input { command, known: &known, terms: &terms() }, NOW)
}

fn accepted(decision: Decision) -> Order {
    match decision {
        Decision::Accepted(next) => next.into_order(),
        Decision::Refused { .. } | Decision::Repeated => panic!("not accepted: {decision:?}"),
    }
}

/// `path/code` of every reason against the lines, for `customer`.
fn check(customer: &str, ordered: &[(&str, i32)], then: &[&str]) {
    let (customer_id, lines) = (customer_id(customer), lines(ordered));
    let command = PlaceOrder { customer_id, lines, ..place(1) };
    let reasons = match decide_on(&Entry::default(), &command) {
        Decision::Refused { reasons, .. } => reasons,
        Decision::Accepted(_) => vec![],
        Decision::Repeated => panic!("nothing has been placed"),
    };
    let told: Vec<_> = reasons.iter().map(|r| format!("{}/{}", r.check, r.code)).collect();
    assert_eq!(told, then, "{customer} orders {ordered:?}");
}

#[test]
fn an_accepted_order_has_the_catalogs_names_and_prices_its_checks_and_its_deadline() {
    let order = accepted(decide_on(&Entry::default(), &place(1)));
    assert_eq!((order.version, order.status), (1, Status::Requested));
    assert_eq!(order.transition, TransitionKind::OrderRequested);
    assert_eq!(order.total, Money::new(2 * 890 + 1450, Currency::EUR));
    assert_eq!((&*order.customer.name, &*order.customer.email), ("ADA", "ada@example.org"));
    let names: Vec<_> =
        order.lines.iter().map(|l| (&*l.name, l.unit_price_minor.minor())).collect();
    assert_eq!(names, [("The TEA", 890), ("The MUG", 1450)]);
    assert_eq!(order.required_checks, ["inventory:TEA", "inventory:MUG"]);
    assert_eq!((order.requested_at, order.deadline), (NOW, NOW + DEADLINE));
    assert_eq!(order.placed_by, command_id(1));
}

#[test]
fn configured_checks_are_required_too() {
    let (command, extra_checks) = (place(1), vec!["fraud".to_owned()]);
    let known = Known::Now(catalog().excerpt(&command.customer_id, &command.lines));
    let terms = Terms { extra_checks, ..terms() };
    let input = Input { command: &command, known: &known, terms: &terms };
    let order = accepted(decide(&Entry::default(), input, NOW));
    assert_eq!(order.required_checks, ["inventory:TEA", "inventory:MUG", "fraud"]);
}

#[test]
fn every_reason_against_an_order_is_named_with_its_member() {
    check("ada", &[("TEA", 1)], &[]);
    check("ada", &[("TEA", 1000), ("MUG", 1)], &[]);
    check("nobody", &[("TEA", 1)], &["customer_id/unknown_customer"]);
    check("mallory", &[("TEA", 1)], &["customer_id/inactive_customer"]);
    check("ada", &[], &["lines/out_of_range"]);
    check("ada", &[("TEA", 0)], &["lines[0].quantity/out_of_range"]);
    check("ada", &[("TEA", 1), ("MUG", -1)], &["lines[1].quantity/out_of_range"]);
    check("ada", &[("TEA", 1001)], &["lines[0].quantity/out_of_range"]);
    check("ada", &[("TEA", 1), ("NONE", 1)], &["lines[1].sku/unknown_sku"]);
    check("ada", &[("OLD", 1)], &["lines[0].sku/inactive_sku"]);
    check("ada", &[("ODD", 1)], &["lines[0].sku/invalid_product"]);
    check("ada", &[("TEA", 1), ("MUG", 1), ("TEA", 2)], &["lines[2].sku/duplicate_sku"]);
    check("ada", &[("TEA", 1), ("BAGEL", 1)], &["lines[1].sku/mixed_currency"]);
    check("ada", &[("GOLD", 1000)], &[]);
    check("ada", &[("TEA", i32::MAX)], &["lines[0].quantity/out_of_range"]);
    check(
        "nobody",
        &[("NONE", 0), ("TEA", 1), ("TEA", 1)],
        &[
            "customer_id/unknown_customer",
            "lines[0].quantity/out_of_range",
            "lines[0].sku/unknown_sku",
            "lines[2].sku/duplicate_sku",
        ],
    );
}

#[test]
fn fifty_lines_are_allowed_and_one_more_is_not() {
    let many: Vec<_> = (0..51).map(|_| ("NONE", 1)).collect();
    check("ada", &many, &["lines/out_of_range"]);
    let (customer_id, lines) = (customer_id("ada"), lines(&many[..50]));
    let command = PlaceOrder { customer_id, lines, ..place(1) };
    let Decision::Refused { reasons, .. } = decide_on(&Entry::default(), &command) else {
        panic!("there is no NONE")
    };
    assert!(reasons.iter().all(|reason| reason.check.starts_with("lines[")), "{reasons:?}");
}

#[test]
fn a_command_that_comes_again_is_ignored_and_another_one_for_the_same_order_refused() {
    let in_flight =
        Entry { proposed: Some(order_at(Status::Requested, 1).into()), ..Entry::default() };
    let entries = Status::ALL.map(entry_at).into_iter().chain([in_flight]);
    for entry in entries {
        assert_eq!(decide_on(&entry, &place(1)), Decision::Repeated);
        let other = PlaceOrder { command_id: command_id(2), ..place(1) };
        let Decision::Refused { reasons, .. } = decide_on(&entry, &other) else {
            panic!("two commands, one order: {entry:?}")
        };
        assert_eq!(reasons[0].code, "idempotency_key_reused");
    }
}
