//! [`Evidence`]: everything that the collector has seen of a shop, as plain data.
//!
//! The collector judges nothing: an unreadable record is evidence as well, and so is a forged one.
//! Lists of records are in the order of the log within each partition; the order of all other lists
//! does not matter.

use contracts::{
    CommandId, Money, Order, OrderId, Reason, ServiceName, Sku, Timestamp,
    catalog::Product,
    email::{EmailSent, EmailWaiting},
    inventory::{InventoryCommand, OrderValidation, StockEntry, StockLevel},
    orders::{CommandRefused, OrderCommand},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// Everything that was seen of a shop.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The time just before the first look, by the clock that stamps the records.
    pub taken_at: Timestamp,
    /// How long an effect may take. What was due less than this before [`Evidence::taken_at`]
    /// counts as on its way, not as missing.
    pub grace: Duration,
    /// The topics.
    pub log: Log,
    /// The log start offset of each partition, by topic and partition, where it is not 0: the
    /// records before it were deleted, by retention or by a person.
    pub log_starts: BTreeMap<(String, i32), i64>,
    /// The dead letters of all services.
    pub dead_letters: Vec<DeadLetter>,
    /// The database of payments.
    pub payments: Payments,
    /// The bank's statement.
    pub bank: Vec<BankEntry>,
    /// What the mail server has accepted.
    pub mails: Vec<Mail>,
    /// Since when it has kept them all.
    pub mails_since: Timestamp,
    /// The database of the view.
    pub view: View,
}

/// The topics, whole, as a `read_committed` reader sees them.
///
/// Each version of an order is on three of them, which may share one value.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// `orders`.
    pub orders: Vec<Logged<Arc<Order>>>,
    /// `orders.latest`.
    pub orders_latest: Vec<Logged<Arc<Order>>>,
    /// `orders.commands`.
    pub order_commands: Vec<Logged<OrderCommand>>,
    /// `orders.refusals`.
    pub order_refusals: Vec<Logged<CommandRefused>>,
    /// `order-validations`.
    pub order_validations: Vec<Logged<OrderValidation>>,
    /// `inventory.commands`.
    pub inventory_commands: Vec<Logged<InventoryCommand>>,
    /// `stock`.
    pub stock: Vec<Logged<StockLevel>>,
    /// `inventory.reservations`.
    pub reservations: Vec<Logged<StockEntry>>,
    /// `catalog.products`; a deleted row is a product of `None`.
    pub catalog_products: Vec<Logged<Option<Product>>>,
    /// `order-views`.
    pub order_views: Vec<Logged<Announcement>>,
    /// `emails`.
    pub emails: Vec<Logged<EmailSent>>,
    /// `emails.waiting`.
    pub emails_waiting: Vec<Logged<EmailWaiting>>,
}

/// What `order-views` says: an order can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The record's key.
    pub order_id: OrderId,
    /// The version that a reader sees at least.
    pub view_version: i64,
    /// The order as the view shows it.
    pub order: Arc<Order>,
}

/// One record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged<T> {
    /// Partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// When it was written, as the record says.
    pub timestamp: Timestamp,
    /// The key as text.
    pub key: String,
    /// Its writer: the header `ce_source`.
    pub writer: Option<String>,
    /// The header `lineage`. A collector may leave it out elsewhere than on `orders`.
    pub lineage: Option<String>,
    /// The header `causationid`: `topic/partition/offset`.
    pub causation: Option<String>,
    /// What it says, or why that cannot be read.
    pub value: Result<T, String>,
}

impl<T> Logged<T> {
    /// What it says, if it can be read.
    pub fn read(&self) -> Option<&T> {
        self.value.as_ref().ok()
    }

    /// Its address on `topic`: `topic/partition/offset`.
    pub fn address(&self, topic: &str) -> String {
        format!("{topic}/{}/{}", self.partition, self.offset)
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The service that could not handle the record.
    pub service: ServiceName,
    /// Partition of the service's dead letters.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// When the service wrote it.
    pub timestamp: Timestamp,
    /// The record's key as text.
    pub key: String,
    /// `topic/partition/offset` of the record.
    pub origin: String,
    /// Why it could not be handled.
    pub cause: String,
    /// Whether it was replayed or discarded.
    pub settled: bool,
    /// Whether it was replayed: then its record is on its topic once more.
    pub replayed: bool,
    /// How many bytes of the record's value it has.
    pub value_bytes: usize,
    /// What it says of its record, if it was cut.
    pub cut: Option<Whole>,
    /// The record at [`DeadLetter::origin`], if it is still there.
    pub original: Option<Original>,
}

/// What tells a record from every other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// How many bytes key, value and headers have.
    pub bytes: usize,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// The record of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// When it was written.
    pub timestamp: Timestamp,
    /// How many bytes its value has.
    pub value_bytes: usize,
    /// What tells it from others.
    pub whole: Whole,
}

/// The database of payments.
#[derive(Debug, Clone, Default)]
pub struct Payments {
    /// One row per order.
    pub rows: Vec<PaymentRow>,
    /// Double entry: two of them per booking.
    pub ledger: Vec<LedgerEntry>,
}

/// Where the money of an order is, as payments knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRow {
    /// The order.
    pub order_id: OrderId,
    /// `intent`, `captured`, `declined`, `refund_due` or `refunded`.
    pub status: String,
    /// The bank may still hold a charge that must not be there.
    pub void_due: bool,
    /// The bank's id of the capture.
    pub reference: Option<String>,
    /// How the last call to the bank failed.
    pub last_error: Option<String>,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// A movement of the whole amount of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Booking {
    /// Taken from the customer.
    Capture,
    /// Given back.
    Refund,
    /// A capture that was undone.
    Void,
}

impl Booking {
    /// The name in the ledger and on the statement.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Void => "void",
        }
    }
}

impl fmt::Display for Booking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One side of a booking in the ledger of payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The order.
    pub order_id: OrderId,
    /// What was booked.
    pub kind: Booking,
    /// `bank` or `sales`.
    pub account: String,
    /// Debits are positive, credits negative.
    pub amount: Money,
    /// When it was booked.
    pub at: Timestamp,
}

/// A line of the bank's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankEntry {
    /// The idempotency key of the charge: the order's id.
    pub key: String,
    /// What was booked.
    pub kind: Booking,
    /// What it does to the shop's account: captures add, the others take away.
    pub amount: Money,
    /// The customer on the other side.
    pub customer: String,
    /// The charge that it belongs to.
    pub charge_id: String,
    /// When it was booked.
    pub at: Timestamp,
}

/// A mail that the mail server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// The address of the recipient.
    pub to: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// The database of the view, in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The orders as they are now.
    pub orders: Vec<OrderRow>,
    /// Every transition of every order.
    pub timeline: Vec<TimelineRow>,
    /// The orders of each customer.
    pub customer_orders: Vec<CustomerOrderRow>,
    /// The catalog.
    pub products: Vec<ProductRow>,
    /// The stock levels.
    pub stock: Vec<StockRow>,
    /// What confirmed orders have sold.
    pub sales: Vec<SalesRow>,
    /// Commands that changed nothing.
    pub refusals: Vec<RefusalRow>,
}

/// A row of the view's `orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The order.
    pub order_id: OrderId,
    /// Transitions so far.
    pub version: i64,
    /// In snake case.
    pub status: String,
    /// The customer.
    pub customer_id: String,
    /// What was ordered.
    pub lines: Vec<LineRow>,
    /// Sum over the lines.
    pub total: Money,
    /// The payment section.
    pub payment: Option<PaymentSection>,
    /// Why it did not go the straight way.
    pub reasons: Vec<Reason>,
    /// When it was accepted.
    pub requested_at: Timestamp,
    /// When it is ended by force.
    pub deadline: Timestamp,
    /// What the customer asked for in their own words.
    pub note: String,
}

/// A line of an order as the view shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineRow {
    /// The product.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Pieces.
    pub quantity: i32,
    /// Price of one piece.
    pub unit_price_minor: i64,
    /// Price of all pieces.
    pub total_minor: i64,
}

/// The payment section of an order as the view shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentSection {
    /// `captured`, `declined` or `refunded`.
    pub status: String,
    /// How much.
    pub amount: Money,
    /// The bank's id of the capture.
    pub reference: Option<String>,
}

/// A row of the view's `timeline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// The order.
    pub order_id: OrderId,
    /// 1 for the first.
    pub version: i64,
    /// What happened.
    pub transition: String,
    /// Where it led, in snake case.
    pub status: String,
    /// `topic/partition/offset` of the record.
    pub address: String,
    /// Its writer.
    pub writer: String,
    /// The services that the fact has passed through.
    pub lineage: Option<String>,
    /// `topic/partition/offset` of its cause.
    pub causation: Option<String>,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// Since the order was requested.
    pub latency_ms: i64,
}

/// A row of the view's `customer_orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerOrderRow {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer_id: String,
    /// Transitions so far.
    pub version: i64,
    /// In snake case.
    pub status: String,
    /// Sum over the lines.
    pub total: Money,
    /// When it was accepted.
    pub requested_at: Timestamp,
}

/// A row of the view's `products`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRow {
    /// The product.
    pub sku: Sku,
    /// What the catalog says; none once it was deleted.
    pub product: Option<Product>,
}

/// A row of the view's `stock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockRow {
    /// The product.
    pub sku: Sku,
    /// Pieces in the house.
    pub on_hand: i64,
    /// Pieces held for orders.
    pub reserved: i64,
    /// Pieces that can still be promised.
    pub available: i64,
    /// The version of the level.
    pub version: i64,
}

/// A row of the view's `sales`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesRow {
    /// The product.
    pub sku: Sku,
    /// How many confirmed orders have it.
    pub orders: i64,
    /// Pieces.
    pub quantity: i64,
    /// What was paid for them.
    pub revenue: Money,
}

/// A row of the view's `refusals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The command.
    pub command_id: CommandId,
    /// The order it was about.
    pub order_id: OrderId,
    /// Its name.
    pub command: String,
    /// Every reason known.
    pub reasons: Vec<Reason>,
    /// The version of the order that the command was judged by.
    pub order_version: Option<i64>,
    /// When it was refused.
    pub refused_at: Timestamp,
}
