//! The topic registry: each topic with its key, value, writers and retention. Its readers follow
//! from [`crate::services`]. Topic creation, `shop topics` and `docs/choreography.md`
//! come from here.

use crate::{
    CustomerId, DEAD_LETTERS, OrderId, ServiceName, Sku, baton,
    catalog::{CatalogCustomer, Product},
    email::{EmailSent, EmailWaiting},
    fraud::Exposure,
    inventory::{InventoryCommand, StockEntry, StockEntryKey, StockLevel},
    order::{LatestOrder, Order},
    orders::{CommandRefused, OrderCommand, OrderValidation},
    view::ViewUpdated,
};
use std::time::Duration;
pub use streams::topic::{
    Cleanup, Flow, Key, PartitionCount, Topic, TopicSpec, Writers, flow, inputs, outputs,
};
use streams::{Record, record::names};

const ORDERS_SERVICE: &str = ServiceName::Orders.as_str();
const PAYMENTS_SERVICE: &str = ServiceName::Payments.as_str();
const INVENTORY_SERVICE: &str = ServiceName::Inventory.as_str();
const EMAIL_SERVICE: &str = ServiceName::Email.as_str();
const FRAUD_SERVICE: &str = ServiceName::Fraud.as_str();
const VIEW_SERVICE: &str = ServiceName::View.as_str();

use PartitionCount::Setting;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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

/// Commands about orders.
pub static ORDER_COMMANDS: Topic<OrderId, OrderCommand> =
    Topic::new("orders.commands", "PlaceOrder | CancelOrder", Setting)
        .kept(Cleanup::Delete { retention_ms: 7 * DAY_MS });

/// Every transition of every order: the system of record.
pub static ORDERS: Topic<OrderId, Order> =
    Topic::new("orders", "Order: whole state, transition, version", Setting)
        .written_by(Writers::Several(&[ORDERS_SERVICE, PAYMENTS_SERVICE]));

/// The last state of every order (latest-versioned pattern).
pub static ORDERS_LATEST: Topic<OrderId, LatestOrder> =
    Topic::new("orders.latest", "Order: the latest state only", Setting)
        .written_by(Writers::One(ORDERS_SERVICE))
        .kept(Cleanup::Compact);

/// Commands that changed nothing, and why.
pub static ORDER_REFUSALS: Topic<OrderId, CommandRefused> =
    Topic::new("orders.refusals", "CommandRefused", Setting)
        .written_by(Writers::One(ORDERS_SERVICE))
        .kept(Cleanup::Delete { retention_ms: 30 * DAY_MS });

/// Outcomes of the checks that orders require. Each validator writes those of its own checks: here
/// is where another one comes in.
pub static ORDER_VALIDATIONS: Topic<OrderId, OrderValidation> =
    Topic::new("order-validations", "OrderValidation", Setting)
        .written_by(Writers::Several(&[INVENTORY_SERVICE, FRAUD_SERVICE]))
        .kept(Cleanup::Delete { retention_ms: 90 * DAY_MS });

/// Commands about stock, keyed by sku, so that each sku has one writer.
pub static INVENTORY_COMMANDS: Topic<Sku, InventoryCommand> =
    Topic::new("inventory.commands", "Reserve | Release | Commit | Restock", Setting)
        .kept(Cleanup::Delete { retention_ms: 7 * DAY_MS });

/// Stock levels.
pub static STOCK: Topic<Sku, StockLevel> = Topic::new("stock", "StockLevel", Setting)
    .written_by(Writers::One(INVENTORY_SERVICE))
    .kept(Cleanup::Compact);

/// The changelog of inventory's state store.
pub static RESERVATIONS: Topic<StockEntryKey, StockEntry> =
    Topic::new("inventory.reservations", "Reservation | RestockApplied", Setting)
        .written_by(Writers::One(INVENTORY_SERVICE))
        .kept(Cleanup::Compact);

/// Products, as captured from the catalog database.
pub static PRODUCTS: Topic<Sku, Product> =
    Topic::new("catalog.products", "a row of products", Setting)
        .written_by(Writers::Cdc)
        .kept(Cleanup::Compact);

/// Customers, as captured from the catalog database.
pub static CUSTOMERS: Topic<CustomerId, CatalogCustomer> =
    Topic::new("catalog.customers", "a row of customers", Setting)
        .written_by(Writers::Cdc)
        .kept(Cleanup::Compact);

/// What can be seen in the view.
pub static ORDER_VIEWS: Topic<OrderId, ViewUpdated> =
    Topic::new("order-views", "ViewUpdated", Setting)
        .written_by(Writers::One(VIEW_SERVICE))
        .kept(Cleanup::Delete { retention_ms: 7 * DAY_MS });

/// Mails that the mail server has accepted.
pub static EMAILS: Topic<OrderId, EmailSent> = Topic::new("emails", "EmailSent", Setting)
    .written_by(Writers::One(EMAIL_SERVICE))
    .kept(Cleanup::Compact);

/// Mails that wait for another attempt: a changelog of email's state store.
pub static EMAILS_WAITING: Topic<OrderId, EmailWaiting> =
    Topic::new("emails.waiting", "EmailWaiting", Setting)
        .written_by(Writers::One(EMAIL_SERVICE))
        .kept(Cleanup::Compact);

/// Orders by customer, from fraud to itself: kept for longer than they are remembered.
pub static EXPOSURES: Topic<CustomerId, Exposure> =
    Topic::new("fraud.exposures", "Exposure", Setting)
        .written_by(Writers::One(FRAUD_SERVICE))
        .kept(Cleanup::Delete { retention_ms: 7 * DAY_MS });

/// Where Debezium says every ten seconds that it captures the catalog. No facts of the shop, so not
/// one of [`ALL`]; Connect makes no topics, so that a misspelt one is an error.
pub static CATALOG_HEARTBEAT: TopicSpec = heartbeat("__debezium-heartbeat.catalog");

/// The same of the outbox of payments.
pub static PAYMENTS_HEARTBEAT: TopicSpec = heartbeat("__debezium-heartbeat.payments");

/// Debezium's heartbeat comes every ten seconds: so long, and four were missed.
pub const HEARTBEAT_SILENCE_MAX: Duration = Duration::from_secs(45);

/// What it means for those who read the catalog.
pub const CATALOG_SILENT: &str = "no heartbeat of the catalog's capture for 45 s: prices and \
                                  customers may be old; `./shop cdc status` says why";

const fn heartbeat(name: &'static str) -> TopicSpec {
    TopicSpec {
        name,
        key: "server",
        value: "time",
        schemas: || &[],
        writers: Writers::Cdc,
        partitions: PartitionCount::Fixed(1),
        cleanup: Cleanup::Delete { retention_ms: DAY_MS },
    }
}

/// The topics above.
static FACTS: [&TopicSpec; 14] = [
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
    &EMAILS_WAITING.spec,
    &EXPOSURES.spec,
];

/// Where `service` puts what it cannot handle.
pub fn dlq(service: ServiceName) -> &'static TopicSpec {
    &DEAD_LETTERS[service as usize]
}

/// Every topic of the shop: the dead letters of each service come last.
pub static ALL: [&TopicSpec; FACTS.len() + DEAD_LETTERS.len()] = {
    let mut all = [FACTS[0]; FACTS.len() + DEAD_LETTERS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = match index.checked_sub(FACTS.len()) {
            None => FACTS[index],
            Some(service) => &DEAD_LETTERS[service],
        };
        index += 1;
    }
    all
};

/// Whether a customer waits for what `flows` write because of `record`, as far as its `ce_type`
/// tells. A record without one is taken for awaited.
pub fn is_awaited(flows: &[Flow], record: &Record) -> bool {
    let Some(kind) = record.headers.get(names::TYPE) else { return true };
    let acts = |flow: &Flow| match record.is_on(&ORDERS) {
        // There the kinds are statuses.
        true => baton::leads_to(kind).any(|status| flow.acts_upon(status.as_str())),
        false => flow.acts_upon(kind),
    };
    let mut flows = flows.iter().filter(|flow| *flow.from.name == *record.topic);
    flows.any(|flow| !flow.is_later && !flow.to.is_empty() && acts(flow))
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::Headers;

    fn is_awaited_by(processor: &str, topic: &TopicSpec, kind: &str) -> bool {
        let mut headers = Headers::default();
        if !kind.is_empty() {
            headers.push(names::TYPE, kind);
        }
        let topic = topic.name.into();
        let (key, value) = (None, None);
        let record =
            Record { topic, partition: 0, offset: 0, timestamp_ms: 0, key, value, headers };
        let mut processors = crate::services::SERVICES.iter().flat_map(|row| row.processors);
        let processor = processors.find(|one| one.name == processor).expect("there is one");
        is_awaited(processor.flows, &record)
    }

    #[test]
    fn the_way_to_an_outcome_is_awaited_and_what_tidies_up_is_not() {
        let orders = |kind| is_awaited_by("orders", &ORDERS.spec, kind);
        assert!(orders("PaymentReceived") && orders("PaymentDeclined"));
        assert!(!orders("OrderRequested") && !orders("OrderConfirmed"), "it is read back");
        let split = |kind| is_awaited_by("inventory-split", &ORDERS.spec, kind);
        assert!(split("OrderRequested") && !split("OrderConfirmed") && !split("OrderValidated"));
        let stock = |kind| is_awaited_by("inventory-stock", &INVENTORY_COMMANDS.spec, kind);
        assert!(stock("Reserve") && !stock("Commit") && !stock("Release"));
        let view = |kind| is_awaited_by("view", &ORDERS.spec, kind);
        assert!(view("OrderConfirmed") && view("OrderCancelled") && !view("OrderValidated"));
        assert!(!is_awaited_by("view", &STOCK.spec, "StockLevel"), "nothing is announced");
        assert!(!is_awaited_by("email", &ORDER_VIEWS.spec, "ViewUpdated"));
        assert!(is_awaited_by("orders", &ORDERS.spec, ""), "it may be anything");
        assert!(!is_awaited_by("orders", &ORDERS.spec, "of no kind"));
    }
}
