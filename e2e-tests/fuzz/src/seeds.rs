//! Good messages of every kind: what the fuzzer begins with. They come from the types, so they
//! follow the schemas.

use contracts::{
    CommandId, Currency, CustomerId, Money, Order, OrderId, Reason, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    email::{EmailKind, EmailSent, EmailWaiting, Waiting, message_id},
    fraud::{Change, Exposure},
    inventory::{
        Commit, Release, Reservation, ReservationState, Reserve, Restock, RestockApplied,
        StockLevel, check_name,
    },
    order::LatestOrder,
    orders::{
        CancelOrder, CommandRefused, OrderCommand, OrderValidation, Outcome, PlaceOrder,
        RequestedLine,
    },
    topics::{self, Topic},
    view::ViewUpdated,
};
use std::collections::BTreeMap;
use streams::{avro::Message, topic::TopicSpec};
use testkit::orders::each_step;
use uuid::Uuid;

/// The time of all seeds.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The order of all seeds.
pub(crate) fn order_id() -> OrderId {
    OrderId(Uuid::from_u128(1))
}

fn command_id() -> CommandId {
    CommandId(Uuid::from_u128(1))
}

fn sku() -> Sku {
    "TEA".parse().expect("it is a sku")
}

fn customer_id() -> CustomerId {
    "ada".parse().expect("it is a customer")
}

/// A product that can be bought.
pub(crate) fn product() -> Product {
    Product {
        sku: sku(),
        name: "Darjeeling".parse().expect("it is a name"),
        description: "tea".parse().expect("it is prose"),
        price_minor: 650.try_into().expect("it is a price"),
        currency: Currency::EUR,
        picture: "🍵".parse().expect("it is prose"),
        active: true,
    }
}

/// A customer who may order.
pub(crate) fn customer() -> CatalogCustomer {
    CatalogCustomer {
        customer_id: customer_id(),
        name: "Ada Lovelace".parse().expect("it is a name"),
        email: "ada@example.org".parse().expect("it is an address"),
        active: true,
    }
}

/// The orders of [`each_step`], all of them about one order id.
pub(crate) fn orders() -> Vec<Order> {
    each_step()
}

/// The command that the orders come from.
pub(crate) fn place() -> PlaceOrder {
    let lines = vec![RequestedLine { sku: sku(), quantity: 2 }];
    let command = PlaceOrder::new(command_id(), order_id(), customer_id(), lines, NOW);
    PlaceOrder { note: "ring twice".to_owned().try_into().expect("it is a note"), ..command }
}

/// The outcome of the check of the orders.
pub(crate) fn validation(outcome: Outcome) -> OrderValidation {
    OrderValidation {
        order_id: order_id(),
        check: check_name(&sku()),
        outcome,
        code: "ok".to_owned(),
        detail: "there is enough".to_owned(),
        decided_at: NOW,
    }
}

fn refused() -> CommandRefused {
    CommandRefused {
        customer_id: None,
        command_id: command_id(),
        order_id: order_id(),
        command: "PlaceOrder".to_owned(),
        reasons: vec![Reason::new("customer_id", "unknown_customer", "there is no such customer")],
        order_version: Some(1),
        refused_at: NOW,
    }
}

fn cancel() -> CancelOrder {
    CancelOrder {
        command_id: command_id(),
        order_id: order_id(),
        issued_at: NOW,
        customer_id: None,
    }
}

fn waiting() -> Waiting {
    Waiting {
        kind: EmailKind::Confirmation,
        since: NOW,
        next_at: NOW,
        refusals: 1,
        doubts: 1,
        cause: "451 later".to_owned(),
        topic: topics::ORDER_VIEWS.name().to_owned(),
        offset: 7,
        headers: BTreeMap::from([("ce_type".to_owned(), "ViewUpdated".to_owned())]),
        announcement: vec![0, 0, 0, 0, 1, 2],
    }
}

/// Good values on a topic: the index of the schema among those of the topic, and the datum.
pub(crate) fn values(topic: &TopicSpec) -> Vec<(u8, Vec<u8>)> {
    let name = topic.name;
    if name == topics::ORDER_COMMANDS.name() {
        let commands = [OrderCommand::from(place()), cancel().into()];
        return datums(&topics::ORDER_COMMANDS, commands);
    }
    if name == topics::ORDERS.name() {
        return datums(&topics::ORDERS, orders());
    }
    if name == topics::ORDERS_LATEST.name() {
        return datums(&topics::ORDERS_LATEST, orders().into_iter().map(LatestOrder));
    }
    if name == topics::ORDER_REFUSALS.name() {
        return datums(&topics::ORDER_REFUSALS, [refused()]);
    }
    if name == topics::ORDER_VALIDATIONS.name() {
        let outcomes = [Outcome::Passed, Outcome::Failed];
        return datums(&topics::ORDER_VALIDATIONS, outcomes.map(validation));
    }
    if name == topics::ORDER_VIEWS.name() {
        let shown = orders().into_iter().map(|order| ViewUpdated {
            order_id: order.order_id,
            view_version: order.version,
            order,
            updated_at: NOW,
        });
        return datums(&topics::ORDER_VIEWS, shown);
    }
    if name == topics::PRODUCTS.name() {
        return datums(&topics::PRODUCTS, [product()]);
    }
    if name == topics::CUSTOMERS.name() {
        return datums(&topics::CUSTOMERS, [customer()]);
    }
    of_stock(name).or_else(|| of_the_rest(name)).unwrap_or_default()
}

fn of_stock(name: &str) -> Option<Vec<(u8, Vec<u8>)>> {
    let (order_id, command_id, quantity) = (order_id(), command_id(), 2);
    if name == topics::INVENTORY_COMMANDS.name() {
        let reserve = Reserve { sku: sku(), order_id, quantity, issued_at: NOW };
        let release = Release { sku: sku(), order_id, issued_at: NOW };
        let commit = Commit { sku: sku(), order_id, issued_at: NOW };
        let restock = Restock { sku: sku(), command_id, quantity, issued_at: NOW };
        let commands = [restock.into(), reserve.into(), release.into(), commit.into()];
        return Some(datums(&topics::INVENTORY_COMMANDS, commands));
    }
    if name == topics::STOCK.name() {
        let level = StockLevel {
            sku: sku(),
            on_hand: 5,
            reserved: 2,
            available: 3,
            committed: 1,
            version: 4,
            updated_at: NOW,
        };
        return Some(datums(&topics::STOCK, [level]));
    }
    if name == topics::RESERVATIONS.name() {
        let (state, updated_at) = (ReservationState::Reserved, NOW);
        let held = Reservation { sku: sku(), order_id, quantity, state, updated_at };
        let counted = RestockApplied { sku: sku(), command_id, quantity, updated_at };
        return Some(datums(&topics::RESERVATIONS, [held.into(), counted.into()]));
    }
    None
}

fn of_the_rest(name: &str) -> Option<Vec<(u8, Vec<u8>)>> {
    let order_id = order_id();
    if name == topics::EMAILS.name() {
        let sent = EmailSent {
            order_id,
            kind: EmailKind::Refund,
            message_id: message_id(order_id, EmailKind::Refund),
            recipient: "ada@example.org".to_owned(),
            sent_kinds: vec![EmailKind::Confirmation, EmailKind::Refund],
            sent_at: NOW,
        };
        return Some(datums(&topics::EMAILS, [sent]));
    }
    if name == topics::EMAILS_WAITING.name() {
        let waits = [Some(waiting()), None].map(|waiting| EmailWaiting { order_id, waiting });
        return Some(datums(&topics::EMAILS_WAITING, waits));
    }
    if name == topics::EXPOSURES.name() {
        let exposure = |change| Exposure {
            customer_id: customer_id(),
            order_id,
            change,
            value: Money::new(1_300, Currency::EUR),
            requested_at: NOW,
        };
        let both = [Change::Opened, Change::FellThrough].map(exposure);
        return Some(datums(&topics::EXPOSURES, both));
    }
    None
}

fn datums<K, V: Message>(
    topic: &Topic<K, V>,
    messages: impl IntoIterator<Item = V>,
) -> Vec<(u8, Vec<u8>)> {
    let datum = |message: V| {
        let own = (topic.spec.schemas)();
        let index = own.iter().position(|schema| schema.path == message.schema().path);
        let index = index.and_then(|index| u8::try_from(index).ok());
        let mut datum = Vec::new();
        message.write(&mut datum).expect("a message fits its schema");
        (index.expect("a topic has few schemas"), datum)
    };
    messages.into_iter().map(datum).collect()
}
