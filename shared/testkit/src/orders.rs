//! Orders on their way, made through the baton table: what a test begins with.

use contracts::{
    CommandId, Customer, Money, Order, OrderId, OrderLine, Reason, Timestamp,
    transitions::{OrderCancelled, OrderRequested, OrderValidated, PaymentReceived, Transition},
};
use uuid::Uuid;

/// Version 1: an order of 13.00 EUR.
pub fn requested(deadline: Timestamp) -> Order {
    let customer = Customer {
        customer_id: "ada".parse().expect("it is well formed"),
        name: "Ada Lovelace".into(),
        email: "ada@example.org".into(),
    };
    let line = OrderLine {
        sku: "TEA".parse().expect("it is well formed"),
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
pub fn validated(deadline: Timestamp) -> Order {
    next(&requested(deadline), OrderValidated, Timestamp(2))
}

/// Version 4: what orders makes of the paid `order` when its customer cancels it.
pub fn cancelled(paid: &Order) -> Order {
    let reason = Reason::new("customer", "cancelled_by_customer", "changed their mind");
    next(paid, OrderCancelled { reason }, Timestamp(4))
}

/// Version 4 of the validated `order`: paid as `ch_1`, then cancelled.
pub fn cancelled_after_payment(order: &Order) -> Order {
    let received = PaymentReceived { reference: "ch_1".into(), at: Timestamp(3) };
    cancelled(&next(order, received, Timestamp(3)))
}

fn next<T: Transition>(order: &Order, transition: T, at: Timestamp) -> Order {
    order.next(transition, at).expect("the table has this step").into_order()
}
