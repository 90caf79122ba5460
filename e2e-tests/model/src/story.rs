//! Who orders what: the customer, the product, the commands.

use crate::{known::Known, message::Message};
use contracts::{
    CommandId, Currency, CustomerId, OrderId, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    inventory::{InventoryCommand, Restock},
    orders::{CancelOrder, OrderCommand, PlaceOrder, RequestedLine},
    partition::{count, partition_for},
    topics::{INVENTORY_COMMANDS, Key, ORDER_COMMANDS},
};
use orders::{catalog::Catalog, domain::place_order::Terms};
use std::{sync::LazyLock, time::Duration};
use uuid::Uuid;

/// From acceptance to the deadline. The clock moves by this much, once.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A time at the edge: no decision depends on it.
const NOTED: Timestamp = Timestamp(0);

/// What is on `orders.commands`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// PlaceOrder.
    Place,
    /// CancelOrder.
    Cancel,
}

/// The id of order `number`. Each order is on a partition of its own, which has its number.
pub fn order_id(number: usize) -> OrderId {
    static IDS: LazyLock<Vec<OrderId>> = LazyLock::new(|| {
        let ids = |partition| {
            let mut ids = (1..).map(|id| OrderId(Uuid::from_u128(id)));
            ids.find(|id| partition_of(id) == partition).expect("every partition has ids")
        };
        (0..count()).map(ids).collect()
    });
    IDS[number]
}

/// The partition of `key`.
pub fn partition_of(key: &impl Key) -> i32 {
    partition_for(&key.to_bytes(), count())
}

/// The product.
pub fn sku() -> Sku {
    "LAST".parse().expect("a sku")
}

/// What the customer of order `number` sends.
pub fn command(number: usize, command: Command) -> Known<Message> {
    static SENT: LazyLock<Vec<[Known<Message>; 2]>> = LazyLock::new(|| {
        let both = |number| [Command::Place, Command::Cancel].map(|one| make(number, one).into());
        (0..count() as usize).map(both).collect()
    });
    SENT[number][command as usize].clone()
}

fn make(number: usize, command: Command) -> Message {
    let order_id = order_id(number);
    let id = |kind: u128| CommandId(Uuid::from_u128(kind + number as u128));
    let command = match command {
        Command::Place => OrderCommand::from(PlaceOrder {
            command_id: id(0x100),
            order_id,
            customer_id: customer_id(),
            lines: vec![RequestedLine { sku: sku(), quantity: 1 }],
            issued_at: NOTED,
            note: contracts::orders::Note::default(),
        }),
        Command::Cancel => OrderCommand::from(CancelOrder {
            command_id: id(0x200),
            order_id,
            issued_at: NOTED,
            customer_id: None,
        }),
    };
    Message::at_the_edge(&ORDER_COMMANDS, &order_id, &command)
}

/// One piece arrives.
pub fn restock() -> Message {
    let command_id = CommandId(Uuid::from_u128(0x300));
    let restock = Restock { sku: sku(), command_id, quantity: 1, issued_at: NOTED };
    Message::at_the_edge(&INVENTORY_COMMANDS, &sku(), &InventoryCommand::from(restock))
}

/// Whom the bank may decline.
pub fn customer_id() -> CustomerId {
    "ada".parse().expect("a customer id")
}

/// What orders is sold by.
pub fn terms() -> Terms {
    Terms { deadline: DEADLINE, extra_checks: Vec::new() }
}

/// The customer and the product, as orders knows them.
pub fn catalog() -> Catalog {
    let customer = CatalogCustomer {
        customer_id: customer_id(),
        name: "Ada".parse().expect("a name"),
        email: "ada@example.org".parse().expect("an address"),
        active: true,
    };
    let product = Product {
        sku: sku(),
        name: "Tea".parse().expect("a name"),
        description: "".parse().expect("prose"),
        price_minor: 100.try_into().expect("a price"),
        currency: Currency::EUR,
        picture: "".parse().expect("prose"),
        active: true,
    };
    Catalog::fixed([product], [customer])
}
