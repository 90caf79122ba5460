//! Orders to feed.

use contracts::{
    Order, OrderId, Reason, Sku, Timestamp,
    transitions::{
        OrderCancelled, OrderConfirmed, OrderRejected, OrderValidated, PaymentDeclined,
        PaymentReceived, PaymentRefunded, Transition,
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
    let lines: Vec<_> = lines.iter().map(|&(sku, quantity)| (sku, sku, quantity, 100)).collect();
    testkit::orders::order(1, &lines, AT)
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
