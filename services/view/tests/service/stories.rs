//! Orders and what becomes of them, as their services would write it.

use contracts::{
    CommandId, Currency, Order, OrderId, Reason, Timestamp,
    catalog::Product,
    inventory::StockLevel,
    orders::CommandRefused,
    transitions::{OrderConfirmed, OrderRejected, OrderValidated, PaymentReceived},
};
use uuid::Uuid;

pub(crate) const NOON: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

/// Order `n` of ada: two TEA and a MUG, 32.30 EUR.
pub(crate) fn requested(n: u128) -> Order {
    requested_by("ada", n)
}

pub(crate) fn requested_by(customer: &str, n: u128) -> Order {
    let lines = [("TEA", "Darjeeling", 2, 890), ("MUG", "Starling Mug", 1, 1450)];
    let at = Timestamp(NOON.millis() + i64::try_from(n).unwrap());
    let mut order = testkit::orders::order(n, &lines, at);
    order.customer.customer_id = customer.parse().unwrap();
    let placed_by = CommandId(Uuid::from_u128(n + 1_000_000));
    Order { placed_by, deadline: Timestamp(NOON.millis() + 60_000), ..order }
}

/// The order's way to `confirmed`: versions 1 to 4.
pub(crate) fn confirmed_story(n: u128) -> Vec<Order> {
    let one = requested(n);
    let at = |ms| Timestamp(one.requested_at.millis() + ms);
    let two = one.next(OrderValidated, at(10)).unwrap().into_order();
    let paid = PaymentReceived { reference: format!("bank-{n}"), at: at(20) };
    let three = two.next(paid, at(20)).unwrap().into_order();
    let four = three.next(OrderConfirmed, at(30)).unwrap().into_order();
    vec![one, two, three, four]
}

pub(crate) fn rejected(one: &Order) -> Order {
    let reason = Reason::new("inventory:MUG", "out_of_stock", "0 of 1 available");
    let rejected = OrderRejected { reasons: vec![reason] };
    one.next(rejected, one.requested_at).unwrap().into_order()
}

/// The writer of the transition that led to `order`.
pub(crate) fn writer(order: &Order) -> &'static str {
    contracts::baton::writer(order.transition).unwrap().as_str()
}

pub(crate) fn refusal(n: u128, command: &str) -> CommandRefused {
    CommandRefused {
        customer_id: (command == "PlaceOrder").then(|| "ada".parse().unwrap()),
        command_id: CommandId(Uuid::new_v5(&order_id(n).0, command.as_bytes())),
        order_id: order_id(n),
        command: command.into(),
        reasons: vec![Reason::new("lines[0].sku", "unknown_sku", "there is no NOPE")],
        order_version: None,
        refused_at: NOON,
    }
}

pub(crate) fn product(sku: &str, price_minor: i64) -> Product {
    Product {
        sku: sku.parse().unwrap(),
        name: format!("{sku} by name").parse().unwrap(),
        description: "Worth having.".parse().unwrap(),
        price_minor: price_minor.try_into().unwrap(),
        currency: Currency::EUR,
        picture: "🍵".parse().unwrap(),
        active: true,
    }
}

pub(crate) fn stock(sku: &str, version: i64, on_hand: i64, reserved: i64) -> StockLevel {
    StockLevel {
        sku: sku.parse().unwrap(),
        on_hand,
        reserved,
        available: on_hand - reserved,
        committed: 0,
        version,
        updated_at: NOON,
    }
}
