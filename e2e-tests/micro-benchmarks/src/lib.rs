//! What the benchmarks have in common: a catalog, and orders of a size that is usual.

use contracts::{
    CommandId, Currency, CustomerId, Order, OrderId, Sku, Timestamp,
    catalog::{CatalogCustomer, Product},
    orders::{PlaceOrder, RequestedLine},
};
use orders::{catalog::Catalog, domain::place_order::Terms};
use std::{sync::Arc, time::Duration};
use streams::{Codec, MemoryRegistry};
use uuid::Uuid;

/// The time of all benchmarks.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The lines of an order: sku, name, pieces, price.
pub const LINES: [testkit::orders::Line<'static>; 3] = [
    ("TEA", "Darjeeling First Flush", 2, 890),
    ("MUG", "Starling Mug", 1, 1_450),
    ("HONEY", "Heather Honey", 3, 720),
];

/// A codec over a registry in memory.
pub fn codec() -> Codec {
    Codec::new(Arc::new(MemoryRegistry::default()))
}

/// Version 1 of order `id`.
pub fn order(id: u128) -> Order {
    testkit::orders::order(id, &LINES, NOW)
}

/// The PlaceOrder of order `id`.
pub fn place(id: u128) -> PlaceOrder {
    let line = |&(sku, _, quantity, _): &testkit::orders::Line<'_>| RequestedLine {
        sku: sku_of(sku),
        quantity,
    };
    let lines = LINES.iter().map(line).collect();
    let id = Uuid::from_u128(id);
    PlaceOrder::new(CommandId(id), OrderId(id), customer_id(), lines, NOW)
}

/// What orders sells, and to whom.
pub fn catalog() -> Catalog {
    let product = |&(sku, name, _, price): &testkit::orders::Line<'_>| Product {
        sku: sku_of(sku),
        name: name.parse().expect("it is a name"),
        description: "something to buy".parse().expect("it is prose"),
        price_minor: price.try_into().expect("it is a price"),
        currency: Currency::EUR,
        picture: "".parse().expect("it is prose"),
        active: true,
    };
    let customer = CatalogCustomer {
        customer_id: customer_id(),
        name: "Ada Lovelace".parse().expect("it is a name"),
        email: "ada@example.org".parse().expect("it is an address"),
        active: true,
    };
    Catalog::fixed(LINES.iter().map(product), [customer])
}

/// How orders decides.
pub fn terms() -> Terms {
    Terms { deadline: Duration::from_secs(60), extra_checks: vec![] }
}

/// A sku.
///
/// # Panics
/// When it is none.
pub fn sku_of(text: &str) -> Sku {
    text.parse().expect("it is a sku")
}

fn customer_id() -> CustomerId {
    "ada".parse().expect("it is a customer")
}
