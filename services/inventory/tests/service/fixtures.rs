//! Orders to feed.

use contracts::{
    CommandId, Customer, Money, Order, OrderId, OrderLine, Reason, Sku, Timestamp,
    transitions::{
        OrderCancelled, OrderConfirmed, OrderRejected, OrderRequested, OrderValidated,
        PaymentDeclined, PaymentReceived, PaymentRefunded, Transition,
    },
};
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn order_id(id: u128) -> OrderId {
    OrderId(Uuid::from_u128(id))
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().expect("a test names skus as they may be")
}

/// A new order of these quantities.
pub(crate) fn requested(lines: &[(&str, i32)]) -> Order {
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, quantity)| OrderLine {
            sku: sku(name),
            name: (*name).to_owned(),
            quantity: *quantity,
            unit_price_minor: 100,
        })
        .collect();
    let opened = OrderRequested {
        order_id: order_id(1),
        placed_by: CommandId(Uuid::from_u128(2)),
        customer: Customer {
            customer_id: "ada".parse().expect("a customer id"),
            name: "Ada".to_owned(),
            email: "ada@example.org".to_owned(),
        },
        total: Money::new(lines.iter().map(OrderLine::total_minor).sum(), "EUR"),
        required_checks: lines.iter().map(|line| format!("inventory:{}", line.sku)).collect(),
        lines,
        deadline: Timestamp(AT.millis() + 60_000),
    };
    opened.open(AT).into_order()
}

fn next<T: Transition>(order: &Order, transition: T) -> Order {
    order.next(transition, AT).expect("the table has this step").into_order()
}

fn reason() -> Reason {
    Reason::new("customer", "cancelled", "changed their mind")
}

pub(crate) fn rejected(order: &Order) -> Order {
    next(order, OrderRejected { reasons: vec![reason()] })
}

pub(crate) fn cancelled(order: &Order) -> Order {
    next(order, OrderCancelled { reason: reason() })
}

pub(crate) fn validated(order: &Order) -> Order {
    next(order, OrderValidated)
}

pub(crate) fn paid(order: &Order) -> Order {
    next(&validated(order), PaymentReceived { reference: "c-1".to_owned(), at: AT })
}

pub(crate) fn declined(order: &Order) -> Order {
    next(&validated(order), PaymentDeclined { reason: reason(), at: AT })
}

pub(crate) fn confirmed(order: &Order) -> Order {
    next(&paid(order), OrderConfirmed)
}

pub(crate) fn refunded(order: &Order) -> Order {
    next(&cancelled(&paid(order)), PaymentRefunded { at: AT })
}
