//! The topic registry: each topic with its key, its value, who writes, who reads, and how long it
//! keeps. Topic creation, `shop topics` and `docs/choreography.md` come from here.

use crate::{
    CustomerId, OrderId, ServiceName, Sku,
    avro::{Message, SchemaFile},
    catalog::{CatalogCustomer, Product},
    email::EmailSent,
    inventory::{InventoryCommand, OrderValidation, StockEntry, StockEntryKey, StockLevel},
    order::{LatestOrder, Order},
    orders::{CommandRefused, OrderCommand},
    view::ViewUpdated,
};
use ServiceName::{Email, Inventory, Orders, Payments, View};
use std::marker::PhantomData;

/// Partitions of every topic. Topics that share a key must have the same number, so that one
/// instance owns partition p of all of them.
pub const PARTITIONS: i32 = 3;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The key of a record.
pub trait Key: Sized {
    /// What the key is, for people.
    const NAME: &'static str;

    /// The key's bytes on the wire: plain UTF-8.
    fn to_bytes(&self) -> Vec<u8>;

    /// The key from its bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;

    /// The bytes that decide the partition, where these are not the key's own.
    fn partition_by(&self) -> Option<Vec<u8>> {
        None
    }
}

macro_rules! text_key {
    ($type:ty, $name:literal) => {
        impl Key for $type {
            const NAME: &'static str = $name;

            fn to_bytes(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
                let text = std::str::from_utf8(bytes).map_err(|_| "the key is not UTF-8")?;
                text.parse().map_err(|error| format!("the key is no {}: {error}", $name))
            }
        }
    };
}

text_key!(OrderId, "order id");
text_key!(Sku, "sku");
text_key!(CustomerId, "customer id");

impl Key for StockEntryKey {
    const NAME: &'static str = "sku/id";

    fn to_bytes(&self) -> Vec<u8> {
        format!("{}/{}", self.sku, self.id).into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the key is not UTF-8")?;
        let (sku, id) = text.split_once('/').ok_or("the key is no sku/id: it has no slash")?;
        let sku = sku.parse().map_err(|error| format!("the key is no sku/id: {error}"))?;
        let id = id.parse().map_err(|error| format!("the key is no sku/id: {error}"))?;
        Ok(Self { sku, id })
    }

    fn partition_by(&self) -> Option<Vec<u8>> {
        Some(self.sku.to_bytes())
    }
}

/// How long a topic keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// For ever: the log is the system of record.
    Keep,
    /// The last record of each key: an entity topic.
    Compact,
    /// For so many milliseconds.
    Delete {
        /// Retention.
        retention_ms: i64,
    },
}

/// Who writes a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Anyone may ask: a command topic.
    AnyProcess,
    /// One service.
    One(ServiceName),
    /// Each its own transitions, by the baton table.
    ByTransition(&'static [ServiceName]),
    /// Debezium, from the catalog database.
    Cdc,
}

/// What is known of a topic without its types.
#[derive(Clone, Copy)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: &'static str,
    /// What the key is.
    pub key: &'static str,
    /// What the value is.
    pub value: &'static str,
    /// The record types on the topic; none where the bytes are somebody else's.
    pub schemas: fn() -> &'static [&'static SchemaFile],
    /// Who writes.
    pub writers: Writers,
    /// Who reads.
    pub readers: &'static [ServiceName],
    /// How long records are kept.
    pub cleanup: Cleanup,
}

impl TopicSpec {
    /// The registry subject of `schema` on this topic: Confluent's TopicNameStrategy where the
    /// topic carries one record type, TopicRecordNameStrategy where it carries several.
    pub fn subject(&self, schema: &SchemaFile) -> String {
        if (self.schemas)().len() == 1 {
            format!("{}-value", self.name)
        } else {
            format!("{}-{}", self.name, schema.name())
        }
    }

    /// Broker-side settings of the topic.
    pub fn config(&self) -> Vec<(&'static str, String)> {
        match self.cleanup {
            Cleanup::Keep => {
                vec![("cleanup.policy", "delete".into()), ("retention.ms", "-1".into())]
            }
            Cleanup::Compact => vec![("cleanup.policy", "compact".into())],
            Cleanup::Delete { retention_ms } => vec![
                ("cleanup.policy", "delete".into()),
                ("retention.ms", retention_ms.to_string()),
            ],
        }
    }

    /// Whether we register the topic's schemas, or somebody else does.
    pub fn registers_schemas(&self) -> bool {
        self.writers != Writers::Cdc
    }
}

/// A topic with the types of its key and value.
pub struct Topic<K, V> {
    /// The same without types.
    pub spec: TopicSpec,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Topic<K, V> {
    /// The topic's name.
    pub const fn name(&self) -> &'static str {
        self.spec.name
    }
}

const fn topic<K: Key, V: Message>(
    name: &'static str,
    value: &'static str,
    writers: Writers,
    readers: &'static [ServiceName],
    cleanup: Cleanup,
) -> Topic<K, V> {
    let spec =
        TopicSpec { name, key: K::NAME, value, schemas: V::schemas, writers, readers, cleanup };
    Topic { spec, types: PhantomData }
}

/// Commands about orders.
pub static ORDER_COMMANDS: Topic<OrderId, OrderCommand> = topic(
    "orders.commands",
    "PlaceOrder | CancelOrder",
    Writers::AnyProcess,
    &[Orders],
    Cleanup::Delete { retention_ms: 7 * DAY_MS },
);

/// Every transition of every order: the system of record.
pub static ORDERS: Topic<OrderId, Order> = topic(
    "orders",
    "Order: whole state, transition, version",
    Writers::ByTransition(&[Orders, Payments]),
    &[Orders, Inventory, Payments, View],
    Cleanup::Keep,
);

/// The last state of every order (latest-versioned pattern).
pub static ORDERS_LATEST: Topic<OrderId, LatestOrder> = topic(
    "orders.latest",
    "Order: the latest state only",
    Writers::One(Orders),
    &[],
    Cleanup::Compact,
);

/// Commands that changed nothing, and why.
pub static ORDER_REFUSALS: Topic<OrderId, CommandRefused> = topic(
    "orders.refusals",
    "CommandRefused",
    Writers::One(Orders),
    &[Orders, View],
    Cleanup::Delete { retention_ms: 30 * DAY_MS },
);

/// Outcomes of the checks that orders require.
pub static ORDER_VALIDATIONS: Topic<OrderId, OrderValidation> = topic(
    "order-validations",
    "OrderValidation",
    Writers::One(Inventory),
    &[Orders],
    Cleanup::Delete { retention_ms: 90 * DAY_MS },
);

/// Commands about stock, keyed by sku, so that each sku has one writer.
pub static INVENTORY_COMMANDS: Topic<Sku, InventoryCommand> = topic(
    "inventory.commands",
    "Reserve | Release | Commit | Restock",
    Writers::AnyProcess,
    &[Inventory],
    Cleanup::Delete { retention_ms: 7 * DAY_MS },
);

/// Stock levels.
pub static STOCK: Topic<Sku, StockLevel> =
    topic("stock", "StockLevel", Writers::One(Inventory), &[Inventory, View], Cleanup::Compact);

/// The changelog of inventory's state store.
pub static RESERVATIONS: Topic<StockEntryKey, StockEntry> = topic(
    "inventory.reservations",
    "Reservation | RestockApplied",
    Writers::One(Inventory),
    &[Inventory],
    Cleanup::Compact,
);

/// Products, as captured from the catalog database.
pub static PRODUCTS: Topic<Sku, Product> = topic(
    "catalog.products",
    "a row of products",
    Writers::Cdc,
    &[Orders, Inventory, View],
    Cleanup::Compact,
);

/// Customers, as captured from the catalog database.
pub static CUSTOMERS: Topic<CustomerId, CatalogCustomer> =
    topic("catalog.customers", "a row of customers", Writers::Cdc, &[Orders], Cleanup::Compact);

/// What can be seen in the view.
pub static ORDER_VIEWS: Topic<OrderId, ViewUpdated> = topic(
    "order-views",
    "ViewUpdated",
    Writers::One(View),
    &[Email, Orders],
    Cleanup::Delete { retention_ms: 7 * DAY_MS },
);

/// Mails that the mail server has accepted.
pub static EMAILS: Topic<OrderId, EmailSent> =
    topic("emails", "EmailSent", Writers::One(Email), &[Email], Cleanup::Compact);

const fn dead_letters(name: &'static str, service: ServiceName) -> TopicSpec {
    TopicSpec {
        name,
        key: "original key",
        value: "original bytes + headers why",
        schemas: || &[],
        writers: Writers::One(service),
        readers: &[],
        cleanup: Cleanup::Delete { retention_ms: 30 * DAY_MS },
    }
}

static ORDERS_DLQ: TopicSpec = dead_letters("orders.dlq", Orders);
static PAYMENTS_DLQ: TopicSpec = dead_letters("payments.dlq", Payments);
static INVENTORY_DLQ: TopicSpec = dead_letters("inventory.dlq", Inventory);
static EMAIL_DLQ: TopicSpec = dead_letters("email.dlq", Email);
static VIEW_DLQ: TopicSpec = dead_letters("view.dlq", View);

/// Where `service` puts what it cannot handle.
pub fn dlq(service: ServiceName) -> &'static TopicSpec {
    match service {
        Orders => &ORDERS_DLQ,
        Payments => &PAYMENTS_DLQ,
        Inventory => &INVENTORY_DLQ,
        Email => &EMAIL_DLQ,
        View => &VIEW_DLQ,
    }
}

/// Every topic of the shop.
pub static ALL: [&TopicSpec; 17] = [
    &ORDER_COMMANDS.spec,
    &ORDERS.spec,
    &ORDERS_LATEST.spec,
    &ORDER_REFUSALS.spec,
    &ORDER_VALIDATIONS.spec,
    &INVENTORY_COMMANDS.spec,
    &STOCK.spec,
    &RESERVATIONS.spec,
    &PRODUCTS.spec,
    &CUSTOMERS.spec,
    &ORDER_VIEWS.spec,
    &EMAILS.spec,
    &ORDERS_DLQ,
    &PAYMENTS_DLQ,
    &INVENTORY_DLQ,
    &EMAIL_DLQ,
    &VIEW_DLQ,
];

/// One line of a service's `topology.rs`: a topic, what handles it, and where its results go.
#[derive(Clone, Copy)]
pub struct Flow {
    /// What is read.
    pub from: &'static TopicSpec,
    /// The handler's module.
    pub handler: &'static str,
    /// What is written because of it.
    pub to: &'static [&'static TopicSpec],
}

/// A line of a `topology.rs`.
pub const fn flow(
    from: &'static TopicSpec,
    handler: &'static str,
    to: &'static [&'static TopicSpec],
) -> Flow {
    Flow { from, handler, to }
}

/// The topics that `flows` read, each once.
pub fn inputs<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<&'static TopicSpec> {
    distinct(flows.into_iter().map(|flow| flow.from))
}

/// The topics that `flows` write, each once.
pub fn outputs<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<&'static TopicSpec> {
    distinct(flows.into_iter().flat_map(|flow| flow.to.iter().copied()))
}

fn distinct(topics: impl Iterator<Item = &'static TopicSpec>) -> Vec<&'static TopicSpec> {
    let mut distinct: Vec<&'static TopicSpec> = Vec::new();
    for topic in topics {
        if distinct.iter().all(|known| known.name != topic.name) {
            distinct.push(topic);
        }
    }
    distinct
}
