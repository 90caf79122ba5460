//! Orders to feed.

use contracts::{
    Order, Reason, Timestamp,
    transitions::{OrderCancelled, OrderRejected, OrderValidated},
};

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn requested(id: u128, customer: &str, total_minor: i64) -> Order {
    let mut order = testkit::orders::order(id, &[("TEA", "Tea", 1, total_minor)], AT);
    order.customer.customer_id = customer.parse().unwrap();
    order.required_checks.push("fraud".to_owned());
    order
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
