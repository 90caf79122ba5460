//! A small catalog, commands, and orders at every status.

use std::time::Duration;

use contracts::{
    CommandId, CustomerId, Next, Order, OrderId, Reason, Sku, Status, Timestamp, Transition,
    catalog::{CatalogCustomer, Product},
    inventory::{OrderValidation, Outcome, check_name},
    orders::{CancelOrder, PlaceOrder, RequestedLine},
    transitions::{
        OrderCancelled, OrderConfirmed, OrderRejected, OrderValidated, PaymentDeclined,
        PaymentReceived, PaymentRefunded,
    },
    values::PRICE_MINOR_MAX,
};
use orders::{
    catalog::Catalog,
    domain::{
        Entry, order_validation,
        place_order::{self, Known, Terms},
    },
};
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn terms() -> Terms {
    Terms { deadline: DEADLINE, extra_checks: vec![] }
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

pub(crate) fn customer_id(text: &str) -> CustomerId {
    text.parse().unwrap()
}

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

pub(crate) fn command_id(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(n))
}

fn product(name: &str, price_minor: i64, currency: &str, active: bool) -> Product {
    Product {
        sku: sku(name),
        name: format!("The {name}").parse().unwrap(),
        description: "".parse().unwrap(),
        price_minor: price_minor.try_into().unwrap(),
        currency: currency.parse().unwrap(),
        picture: "".parse().unwrap(),
        active,
    }
}

fn customer(name: &str, active: bool) -> CatalogCustomer {
    CatalogCustomer {
        customer_id: customer_id(name),
        name: name.to_uppercase().parse().unwrap(),
        email: format!("{name}@example.org").parse().unwrap(),
        active,
    }
}

/// TEA and MUG can be bought; each of the others has something against it.
pub(crate) fn catalog() -> Catalog {
    Catalog::with_row(
        [
            product("TEA", 890, "EUR", true),
            product("MUG", 1450, "EUR", true),
            product("BAGEL", 300, "USD", true),
            product("GOLD", PRICE_MINOR_MAX, "EUR", true),
            product("OLD", 100, "EUR", false),
        ],
        [customer("ada", true), customer("mallory", false)],
        (sku("ODD"), Err("currency is \"eur\"")),
    )
}

pub(crate) fn lines(lines: &[(&str, i32)]) -> Vec<RequestedLine> {
    lines
        .iter()
        .map(|(name, quantity)| RequestedLine { sku: sku(name), quantity: *quantity })
        .collect()
}

/// TEA and MUG for ada, as command `id` for order `id`.
pub(crate) fn place(id: u128) -> PlaceOrder {
    let lines = lines(&[("TEA", 2), ("MUG", 1)]);
    PlaceOrder::new(command_id(id), order_id(id), customer_id("ada"), lines, NOW)
}

/// Command `command` to cancel order `id`.
pub(crate) fn cancel(id: u128, command: u128) -> CancelOrder {
    CancelOrder {
        command_id: command_id(command),
        order_id: order_id(id),
        issued_at: NOW,
        customer_id: None,
    }
}

pub(crate) fn passed(id: u128, name: &str) -> OrderValidation {
    validation(id, name, Outcome::Passed, "ok")
}

pub(crate) fn failed(id: u128, name: &str) -> OrderValidation {
    validation(id, name, Outcome::Failed, "out_of_stock")
}

fn validation(id: u128, name: &str, outcome: Outcome, code: &str) -> OrderValidation {
    OrderValidation {
        order_id: order_id(id),
        check: check_name(&sku(name)),
        outcome,
        code: code.into(),
        detail: String::new(),
        decided_at: NOW,
    }
}

/// That `validation` is kept, whatever the entry knows.
pub(crate) fn kept(validation: &OrderValidation) -> order_validation::Decision {
    let decision = order_validation::decide(&Entry::default(), validation, NOW);
    assert!(matches!(decision, order_validation::Decision::Kept { .. }), "{decision:?}");
    decision
}

/// The first version of the order of `place(id)`.
pub(crate) fn requested(id: u128) -> Order {
    let command = place(id);
    let known = Known::Now(catalog().excerpt(&command.customer_id, &command.lines));
    let input = place_order::Input { command: &command, known: &known, terms: &terms() };
    match place_order::decide(&Entry::default(), input, NOW) {
        place_order::Decision::Accepted(next) => next.into_order(),
        other => panic!("the order of the fixtures is refused: {other:?}"),
    }
}

fn then<T: Transition>(order: &Order, transition: T) -> Order {
    order.next(transition, NOW).map(Next::into_order).unwrap()
}

fn reason() -> Reason {
    Reason::new("payment", "card_declined", "the bank said no")
}

pub(crate) fn paid(order: &Order) -> Order {
    then(order, PaymentReceived { reference: "b-1".into(), at: NOW })
}

pub(crate) fn declined(order: &Order) -> Order {
    then(order, PaymentDeclined { reason: reason(), at: NOW })
}

pub(crate) fn refunded(order: &Order) -> Order {
    then(order, PaymentRefunded { at: NOW })
}

/// Order `id` at `status`, by the shortest way.
pub(crate) fn order_at(status: Status, id: u128) -> Order {
    match status {
        Status::Requested => requested(id),
        Status::Validated => then(&requested(id), OrderValidated),
        Status::Rejected => then(&requested(id), OrderRejected { reasons: vec![reason()] }),
        Status::Cancelled => then(&requested(id), OrderCancelled { reason: reason() }),
        Status::Paid => paid(&order_at(Status::Validated, id)),
        Status::PaymentDeclined => declined(&order_at(Status::Validated, id)),
        Status::Confirmed => then(&order_at(Status::Paid, id), OrderConfirmed),
        Status::RefundDue => then(&order_at(Status::Paid, id), OrderCancelled { reason: reason() }),
        Status::Refunded => refunded(&order_at(Status::RefundDue, id)),
    }
}

/// An entry that knows order 1 at `status` and nothing else.
pub(crate) fn entry_at(status: Status) -> Entry {
    Entry { order: Some(order_at(status, 1).into()), ..Entry::default() }
}
