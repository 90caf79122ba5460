//! Records in words, for traces.

use contracts::{
    Order, OrderId,
    inventory::{InventoryCommand, StockEntry},
    orders::OrderCommand,
    topics::{
        EMAILS, EMAILS_WAITING, INVENTORY_COMMANDS, ORDER_COMMANDS, ORDER_REFUSALS,
        ORDER_VALIDATIONS, ORDER_VIEWS, ORDERS, ORDERS_LATEST, RESERVATIONS, STOCK,
    },
};
use std::collections::BTreeSet;
use streams::Codec;
use streams_sim::About;

/// What an event about these orders is about.
pub(crate) fn about(orders: impl IntoIterator<Item = OrderId>) -> About {
    Some(orders.into_iter().map(|order| order.to_string()).collect())
}

/// What a record says, and about which orders.
pub(crate) fn words(
    codec: &Codec,
    topic: &str,
    key: &str,
    value: &[u8],
) -> (String, BTreeSet<String>) {
    let one = |order: OrderId| BTreeSet::from([order.to_string()]);
    let keyed = |text: String| (text, BTreeSet::from([key.to_owned()]));
    let text = |order: &Order| {
        let Order { order_id, transition, status, version, .. } = order;
        keyed(format!("{} {transition} -> {status}, version {version}", short(*order_id)))
    };
    let said = if topic == ORDERS.name() || topic == ORDERS_LATEST.name() {
        codec.decode(&ORDERS, value).map(|order| text(&order))
    } else if topic == ORDER_VIEWS.name() {
        codec.decode(&ORDER_VIEWS, value).map(|u| {
            keyed(format!("{} ViewUpdated, version {}", short(u.order_id), u.view_version))
        })
    } else if topic == ORDER_COMMANDS.name() {
        codec.decode(&ORDER_COMMANDS, value).map(|c| keyed(command(&c)))
    } else if topic == ORDER_VALIDATIONS.name() {
        let outcome = codec.decode(&ORDER_VALIDATIONS, value);
        outcome.map(|v| keyed(format!("{} {} {:?}", short(v.order_id), v.check, v.outcome)))
    } else if topic == ORDER_REFUSALS.name() {
        codec.decode(&ORDER_REFUSALS, value).map(|r| {
            let codes: Vec<_> = r.reasons.iter().map(|reason| &*reason.code).collect();
            keyed(format!("{} {} refused: {}", short(r.order_id), r.command, codes.join(", ")))
        })
    } else if topic == INVENTORY_COMMANDS.name() {
        codec.decode(&INVENTORY_COMMANDS, value).map(|c| stock_command(&c))
    } else if topic == RESERVATIONS.name() {
        codec.decode(&RESERVATIONS, value).map(|entry| match entry {
            StockEntry::Reservation(r) => {
                let (order, sku) = (short(r.order_id), &r.sku);
                (format!("{order} {sku} x {} {:?}", r.quantity, r.state), one(r.order_id))
            }
            StockEntry::RestockApplied(r) => {
                (format!("{} + {} counted", r.sku, r.quantity), BTreeSet::new())
            }
        })
    } else if topic == STOCK.name() {
        codec.decode(&STOCK, value).map(|l| {
            let (on_hand, reserved, available) = (l.on_hand, l.reserved, l.available);
            let numbers = format!("{on_hand} on hand, {reserved} reserved, {available} available");
            (format!("{} version {}: {numbers}", l.sku, l.version), BTreeSet::new())
        })
    } else if topic == EMAILS.name() {
        let mail = codec.decode(&EMAILS, value);
        mail.map(|m| keyed(format!("{} EmailSent {}", short(m.order_id), m.kind.as_str())))
    } else if topic == EMAILS_WAITING.name() {
        codec.decode(&EMAILS_WAITING, value).map(|m| {
            let waits = m.waiting.map_or_else(|| "for nothing".to_owned(), |w| w.cause);
            keyed(format!("{} EmailWaiting: {waits}", short(m.order_id)))
        })
    } else {
        return keyed(format!("key {key}"));
    };
    said.unwrap_or_else(|_| keyed(format!("unreadable, key {key}")))
}

/// The first digits of an order's id: enough to tell the orders of a simulation apart.
pub(crate) fn short(order: OrderId) -> String {
    order.to_string().chars().take(8).collect()
}

fn command(command: &OrderCommand) -> String {
    let order = short(command.order_id());
    match command {
        OrderCommand::PlaceOrder(place) => {
            let lines = place.lines.iter().map(|line| format!("{} x {}", line.sku, line.quantity));
            let lines: Vec<_> = lines.collect();
            format!("{order} PlaceOrder by {}: {}", place.customer_id, lines.join(", "))
        }
        OrderCommand::CancelOrder(_) => format!("{order} CancelOrder"),
    }
}

fn stock_command(command: &InventoryCommand) -> (String, BTreeSet<String>) {
    let (name, order, quantity) = match command {
        InventoryCommand::Reserve(c) => ("Reserve", c.order_id, Some(c.quantity)),
        InventoryCommand::Release(c) => ("Release", c.order_id, None),
        InventoryCommand::Commit(c) => ("Commit", c.order_id, None),
        InventoryCommand::Restock(c) => {
            return (format!("Restock {} + {}", c.sku, c.quantity), BTreeSet::new());
        }
    };
    let quantity = quantity.map(|quantity| format!(" x {quantity}")).unwrap_or_default();
    (
        format!("{} {name} {}{quantity}", short(order), command.sku()),
        BTreeSet::from([order.to_string()]),
    )
}
