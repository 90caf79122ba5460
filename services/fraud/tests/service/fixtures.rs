//! Orders to feed.

use contracts::{
    CommandId, Customer, Money, Order, OrderId, OrderLine, Reason, Timestamp,
    transitions::{OrderCancelled, OrderRejected, OrderRequested, OrderValidated},
};
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn requested(id: u128, customer: &str, total_minor: i64) -> Order {
    let opened = OrderRequested {
        order_id: OrderId(Uuid::from_u128(id)),
        placed_by: CommandId(Uuid::from_u128(id)),
        customer: Customer {
            customer_id: customer.parse().unwrap(),
            name: customer.to_owned(),
            email: format!("{customer}@example.org"),
        },
        total: Money::new(total_minor, "EUR"),
        required_checks: vec!["inventory:TEA".to_owned(), "fraud".to_owned()],
        lines: vec![OrderLine {
            sku: "TEA".parse().unwrap(),
            name: "Tea".to_owned(),
            quantity: 1,
            unit_price_minor: total_minor,
        }],
        deadline: Timestamp(AT.millis() + 60_000),
    };
    opened.open(AT).into_order()
}

pub(crate) fn rejected(order: &Order) -> Order {
    let reasons = vec![Reason::new("fraud", "too_much_open_value", "")];
    order.next(OrderRejected { reasons }, AT).unwrap().into_order()
}

pub(crate) fn cancelled(order: &Order) -> Order {
    let reason = Reason::new("customer", "cancelled", "");
    order.next(OrderCancelled { reason }, AT).unwrap().into_order()
}

pub(crate) fn validated(order: &Order) -> Order {
    order.next(OrderValidated, AT).unwrap().into_order()
}
