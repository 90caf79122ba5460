//! Orders as payments meets them, made through the baton table.

use contracts::{
    CommandId, Customer, Money, Order, OrderId, OrderLine, Reason, Timestamp,
    transitions::{OrderCancelled, OrderRequested, OrderValidated, PaymentReceived},
};
use uuid::Uuid;

/// Version 1: an order of 13.00 EUR.
pub(crate) fn requested(deadline: Timestamp) -> Order {
    let customer = Customer {
        customer_id: "ada".parse().unwrap(),
        name: "Ada Lovelace".into(),
        email: "ada@example.org".into(),
    };
    let line = OrderLine {
        sku: "TEA".parse().unwrap(),
        name: "Darjeeling".into(),
        quantity: 2,
        unit_price_minor: 650,
    };
    let request = OrderRequested {
        order_id: OrderId(Uuid::now_v7()),
        placed_by: CommandId(Uuid::now_v7()),
        customer,
        lines: vec![line],
        total: Money::new(1300, "EUR"),
        required_checks: vec!["inventory:TEA".into()],
        deadline,
    };
    request.open(Timestamp(1)).into_order()
}

/// Version 2: payments holds the baton.
pub(crate) fn validated(deadline: Timestamp) -> Order {
    requested(deadline).next(OrderValidated, Timestamp(2)).unwrap().into_order()
}

/// Version 4: what orders makes of the paid `order` when its customer cancels it.
pub(crate) fn cancelled(paid: &Order) -> Order {
    let reason = Reason::new("customer", "cancelled_by_customer", "changed their mind");
    paid.next(OrderCancelled { reason }, Timestamp(4)).unwrap().into_order()
}

/// Version 4 of the validated `order`: paid as `ch_1`, then cancelled.
pub(crate) fn cancelled_after_payment(order: &Order) -> Order {
    let received = PaymentReceived { reference: "ch_1".into(), at: Timestamp(3) };
    cancelled(order.next(received, Timestamp(3)).unwrap().order())
}
