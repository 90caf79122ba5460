//! Orders on their way, made through the baton table: what a test begins with.

use contracts::{
    CommandId, Currency, Customer, Money, Order, OrderId, OrderLine, Reason, Timestamp,
    TransitionKind,
    baton::STEPS,
    orders::{PlaceOrder, RequestedLine},
    transitions::{
        OrderCancelled, OrderConfirmed, OrderRejected, OrderRequested, OrderValidated,
        PaymentDeclined, PaymentReceived, PaymentRefunded, Transition,
    },
};
use std::time::Duration;
use uuid::Uuid;

/// Time from acceptance to the deadline of [`order`].
const DEADLINE: Duration = Duration::from_secs(60);

/// One line of [`order`]: sku, name, quantity, price of one piece in cents.
pub type Line<'a> = (&'a str, &'a str, i32, i64);

/// Version 1 of order `id`, accepted at `at`: these lines for ada. The PlaceOrder has the same id.
/// A test that is about another field gives it another value: `Order { customer, ..order(1, &lines,
/// at) }`.
pub fn order(id: u128, lines: &[Line<'_>], at: Timestamp) -> Order {
    let sku = |text: &str| text.parse().expect("a test names skus as they may be");
    let requested = |line: &Line<'_>| RequestedLine { sku: sku(line.0), quantity: line.2 };
    let priced = |&(id, name, quantity, unit_price_minor): &Line<'_>| OrderLine {
        sku: sku(id),
        name: name.parse().expect("a test names products as they may be"),
        quantity,
        unit_price_minor: unit_price_minor.try_into().expect("a test has prices as they may be"),
    };
    let customer = Customer {
        customer_id: "ada".parse().expect("it is well formed"),
        name: "Ada Lovelace".parse().expect("it is well formed"),
        email: "ada@example.org".parse().expect("it is well formed"),
    };
    let command = PlaceOrder::new(
        CommandId(Uuid::from_u128(id)),
        OrderId(Uuid::from_u128(id)),
        customer.customer_id.clone(),
        lines.iter().map(requested).collect(),
        at,
    );
    let lines: Vec<OrderLine> = lines.iter().map(priced).collect();
    let accepted = OrderRequested {
        customer,
        total: Money::new(lines.iter().map(OrderLine::total_minor).sum(), Currency::EUR),
        required_checks: lines.iter().map(|line| format!("inventory:{}", line.sku)).collect(),
        lines,
        deadline: at + DEADLINE,
    };
    accepted.open(&command, at).into_order()
}

/// Version 1: an order of 13.00 EUR, as no other one.
pub fn requested(deadline: Timestamp) -> Order {
    let id = Uuid::now_v7().as_u128();
    Order { deadline, ..order(id, &[("TEA", "Darjeeling", 2, 650)], Timestamp(1)) }
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

/// An order after each step of the baton table, in the table's order.
///
/// # Panics
/// When a row comes before the one that it goes on from.
pub fn each_step() -> Vec<Order> {
    let mut orders: Vec<Order> = Vec::new();
    for step in STEPS {
        let before = orders.iter().find(|order| Some(order.status) == step.from);
        let after = match (before, step.from) {
            (Some(before), _) => after(before, step.transition),
            (None, None) => order(1, &[("TEA", "Darjeeling", 2, 650)], Timestamp(1)),
            (None, Some(from)) => panic!("no row before {} leads to {from}", step.transition),
        };
        orders.push(after);
    }
    orders
}

fn after(order: &Order, transition: TransitionKind) -> Order {
    let at = Timestamp(order.version + 1);
    let reason = Reason::new("test", "test", "because of a test");
    match transition {
        TransitionKind::OrderRequested => panic!("it is the first step"),
        TransitionKind::OrderValidated => next(order, OrderValidated, at),
        TransitionKind::OrderRejected => next(order, OrderRejected { reasons: vec![reason] }, at),
        TransitionKind::OrderCancelled => next(order, OrderCancelled { reason }, at),
        TransitionKind::OrderConfirmed => next(order, OrderConfirmed, at),
        TransitionKind::PaymentReceived => {
            next(order, PaymentReceived { reference: "ch_1".into(), at }, at)
        }
        TransitionKind::PaymentDeclined => next(order, PaymentDeclined { reason, at }, at),
        TransitionKind::PaymentRefunded => next(order, PaymentRefunded { at }, at),
    }
}

fn next<T: Transition>(order: &Order, transition: T, at: Timestamp) -> Order {
    order.next(transition, at).expect("the table has this step").into_order()
}
