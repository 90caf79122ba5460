//! [`Order`]: the entity that travels whole with each of its transitions.

use crate::{
    CommandId, CustomerId, EmailAddress, Money, Name, OrderId, Price, Reason, ServiceName, Sku,
    Status, Timestamp, TransitionKind,
    avro::{AvroError, Message, SchemaFile, avro_record},
    baton,
    limits::{CHECK_BYTES_MAX, CHECKS_MAX, ORDER_BYTES_MAX, REFERENCE_BYTES_MAX},
    orders::{LINES_MAX, Note, PlaceOrder, QUANTITY_MAX},
    values::check_text,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The whole order after one transition. Fields as in `schemas/orders/Order.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// The record's key.
    pub order_id: OrderId,
    /// 1 for OrderRequested, +1 with each transition.
    pub version: i64,
    /// What happened.
    pub transition: TransitionKind,
    /// The present status of the order.
    pub status: Status,
    /// The customer, as known at the acceptance of the order.
    pub customer: Customer,
    /// 1 to [`crate::orders::LINES_MAX`] lines, each sku once.
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub total: Money,
    /// The checks that must all pass before OrderValidated.
    pub required_checks: Vec<String>,
    /// Why the order did not go the straight way, oldest first.
    pub reasons: Vec<Reason>,
    /// The section that payments adds.
    pub payment: Option<Payment>,
    /// The PlaceOrder that this order came from.
    pub placed_by: CommandId,
    /// When the order was accepted.
    pub requested_at: Timestamp,
    /// When the holder of the baton ends the order.
    pub deadline: Timestamp,
    /// When this transition was decided.
    pub occurred_at: Timestamp,
    /// As the PlaceOrder has it. Orders that are kept as JSON from before there were notes have
    /// none.
    #[serde(default)]
    pub note: Note,
}

avro_record!(Order, "orders/Order.avsc");

/// The customer of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Customer {
    /// Id in the catalog database.
    pub customer_id: CustomerId,
    /// Display name.
    pub name: Name,
    /// Where mails about this order go.
    pub email: EmailAddress,
}

/// One product in an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderLine {
    /// Id in the catalog database.
    pub sku: Sku,
    /// Product name when the order was accepted.
    pub name: Name,
    /// 1 to [`crate::orders::QUANTITY_MAX`].
    pub quantity: i32,
    /// Price of one piece when the order was accepted.
    pub unit_price_minor: Price,
}

impl OrderLine {
    /// Price of all pieces.
    pub fn total_minor(&self) -> i64 {
        self.unit_price_minor.minor().saturating_mul(i64::from(self.quantity))
    }
}

/// The payment section of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Payment {
    /// Where the money is.
    pub status: PaymentStatus,
    /// What was captured, declined or refunded.
    pub amount: Money,
    /// The bank's id of the capture, if there is one.
    pub reference: Option<String>,
    /// When payments learned it.
    pub decided_at: Timestamp,
}

/// Where the money of an order is. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// With the shop.
    Captured,
    /// With the customer, as it never moved.
    Declined,
    /// With the customer again.
    Refunded,
}

impl PaymentStatus {
    /// The name in HTTP bodies: snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            PaymentStatus::Captured => "captured",
            PaymentStatus::Declined => "declined",
            PaymentStatus::Refunded => "refunded",
        }
    }
}

/// A value out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct OutOfBounds {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Why a record on `orders` cannot follow what is known of its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleOrder {
    /// The table has no such step.
    #[error(transparent)]
    Step(#[from] baton::Impossible),
    /// The transition leads elsewhere.
    #[error("{transition} leads to {expected}, not to {found}")]
    Status {
        /// What happened.
        transition: TransitionKind,
        /// Where the table says it leads.
        expected: Status,
        /// Where the record says it led.
        found: Status,
    },
    /// A version was left out.
    #[error("version {found} cannot follow version {known}")]
    Version {
        /// The version that is known.
        known: i64,
        /// The version of the record.
        found: i64,
    },
    /// No path through the table gives this record.
    #[error("no order can reach {status} by {transition} as version {version}")]
    Unreachable {
        /// What happened.
        transition: TransitionKind,
        /// Where it led.
        status: Status,
        /// The version it has.
        version: i64,
    },
    /// The writer does not hold the baton.
    #[error("{transition} is {owner}'s to write, but {writer} wrote it")]
    Writer {
        /// What happened.
        transition: TransitionKind,
        /// The service that holds the baton.
        owner: ServiceName,
        /// The writer.
        writer: String,
    },
    /// What follows from it would not fit into a record.
    #[error("an order has {ORDER_BYTES_MAX} bytes at most, this one {bytes}")]
    Size {
        /// As [`Order::bytes`] counts.
        bytes: usize,
    },
    /// The key is another order's.
    #[error("the record's key is {key}, but its order is {order_id}")]
    Key {
        /// The record's key.
        key: OrderId,
        /// The order in the record's value.
        order_id: OrderId,
    },
    /// A value is out of its bounds.
    #[error(transparent)]
    Value(#[from] OutOfBounds),
}

/// A PlaceOrder was accepted: what orders adds to what the customer asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequested {
    /// The customer.
    pub customer: Customer,
    /// Priced lines.
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub total: Money,
    /// What must pass before OrderValidated.
    pub required_checks: Vec<String>,
    /// When the order is ended by force.
    pub deadline: Timestamp,
}

/// More than an element of a list has besides its texts: numbers and lengths.
const ELEMENT_BYTES: usize = 48;

/// More than an order has besides its texts and lists: ids, times, enums, an amount.
const FIXED_BYTES: usize = 512;

impl Order {
    /// A bound of the encoded size, in bytes.
    pub fn bytes(&self) -> usize {
        let Order { customer, lines, total, required_checks, reasons, payment, note, .. } = self;
        let lines = lines.iter().map(|line| line.sku.as_str().len() + line.name.len());
        let checks = required_checks.iter().map(String::len);
        let reasons = reasons.iter().map(|r| r.check.len() + r.code.len() + r.detail.len());
        let elements = lines.chain(checks).chain(reasons).map(|texts| texts + ELEMENT_BYTES);
        let payment = payment.iter().map(|payment| {
            payment.amount.currency.as_str().len()
                + payment.reference.as_ref().map_or(0, String::len)
        });
        FIXED_BYTES
            + elements.sum::<usize>()
            + customer.customer_id.as_str().len()
            + customer.name.len()
            + customer.email.len()
            + note.as_str().len()
            + total.currency.as_str().len()
            + payment.sum::<usize>()
    }

    /// Version 1: what `command` asks for, with what orders adds.
    pub(crate) fn first(
        command: &PlaceOrder,
        accepted: OrderRequested,
        status: Status,
        at: Timestamp,
    ) -> Self {
        let OrderRequested { customer, lines, total, required_checks, deadline } = accepted;
        Self {
            order_id: command.order_id,
            version: 1,
            transition: TransitionKind::OrderRequested,
            status,
            customer,
            lines,
            total,
            required_checks,
            reasons: Vec::new(),
            payment: None,
            placed_by: command.command_id,
            requested_at: at,
            deadline,
            occurred_at: at,
            note: command.note.clone(),
        }
    }

    /// The checks of a record on `orders` that need no history: those of [`Self::check_alone`], and
    /// that its writer held the baton. `writer` is the record's `ce_source`; a record
    /// without one has no writer.
    ///
    /// # Errors
    /// [`ImpossibleOrder`], the cause for a dead letter.
    pub fn check_written(&self, key: OrderId, writer: Option<&str>) -> Result<(), ImpossibleOrder> {
        self.check_alone(key)?;
        let transition = self.transition;
        match baton::writer(transition) {
            Some(owner) if writer != Some(owner.as_str()) => {
                let writer = writer.unwrap_or("nobody").into();
                Err(ImpossibleOrder::Writer { transition, owner, writer })
            }
            _ => Ok(()),
        }
    }

    /// Whether its key, its place in the baton table, its size and its values are possible at all.
    ///
    /// # Errors
    /// [`ImpossibleOrder`], the cause for a dead letter.
    pub fn check_alone(&self, key: OrderId) -> Result<(), ImpossibleOrder> {
        let Self { order_id, version, transition, status, .. } = *self;
        if key != order_id {
            return Err(ImpossibleOrder::Key { key, order_id });
        }
        if !baton::reachable(transition, status, version) {
            return Err(ImpossibleOrder::Unreachable { transition, status, version });
        }
        match self.bytes() {
            bytes if bytes > ORDER_BYTES_MAX => Err(ImpossibleOrder::Size { bytes }),
            _ => Ok(check_values(self)?),
        }
    }

    /// Whether this record is the next one after `known`; `Ok(false)` if it is an older one.
    ///
    /// # Errors
    /// [`ImpossibleOrder`], the cause for a dead letter.
    pub fn follows(&self, known: Option<&Order>) -> Result<bool, ImpossibleOrder> {
        let (version, status) = known.map_or((0, None), |o| (o.version, Some(o.status)));
        if self.version <= version {
            return Ok(false);
        }
        if self.version != version + 1 {
            return Err(ImpossibleOrder::Version { known: version, found: self.version });
        }
        let step = baton::take(status, self.transition)?;
        if step.to != self.status {
            return Err(ImpossibleOrder::Status {
                transition: self.transition,
                expected: step.to,
                found: self.status,
            });
        }
        Ok(true)
    }
}

/// Lines, sum, checks and payment of an order.
///
/// # Errors
/// The first value that is out of its bounds.
fn check_values(order: &Order) -> Result<(), OutOfBounds> {
    let lines = order.lines.len();
    ensure((1..=LINES_MAX).contains(&lines), "lines", || {
        format!("has {lines} entries, not 1 to {LINES_MAX}")
    })?;
    let mut skus = BTreeSet::new();
    let mut total = Some(0_i64);
    for (i, line) in order.lines.iter().enumerate() {
        let quantity = line.quantity;
        ensure((1..=QUANTITY_MAX).contains(&quantity), format!("lines[{i}].quantity"), || {
            format!("is {quantity}, not 1 to {QUANTITY_MAX}")
        })?;
        ensure(skus.insert(&line.sku), format!("lines[{i}].sku"), || {
            format!("repeats {}", line.sku)
        })?;
        total = total.and_then(|sum| sum.checked_add(line.total_minor()));
    }
    ensure(total == Some(order.total.amount_minor), "total", || {
        format!("is {}, which is not the sum of its lines", order.total)
    })?;
    let checks = order.required_checks.len();
    ensure(checks <= CHECKS_MAX, "required_checks", || {
        format!("has {checks} entries, more than {CHECKS_MAX}")
    })?;
    for (i, name) in order.required_checks.iter().enumerate() {
        text(format!("required_checks[{i}]"), name, CHECK_BYTES_MAX)?;
    }
    let reference = order.payment.as_ref().and_then(|payment| payment.reference.as_deref());
    reference.map_or(Ok(()), |id| text("payment.reference", id, REFERENCE_BYTES_MAX))
}

fn text(field: impl Into<String>, text: &str, max: usize) -> Result<(), OutOfBounds> {
    let checked = check_text(text, (1, max), &[]);
    checked.map_err(|why| OutOfBounds { field: field.into(), detail: why.to_string() })
}

fn ensure(
    holds: bool,
    field: impl Into<String>,
    detail: impl FnOnce() -> String,
) -> Result<(), OutOfBounds> {
    if holds { Ok(()) } else { Err(OutOfBounds { field: field.into(), detail: detail() }) }
}

/// An order as `orders.latest` carries it: the same bytes, the last one per key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatestOrder(pub Order);

impl Message for LatestOrder {
    fn schemas() -> &'static [&'static SchemaFile] {
        Order::schemas()
    }

    fn schema(&self) -> &'static SchemaFile {
        Order::SCHEMA
    }

    fn write(&self, buffer: &mut Vec<u8>) -> Result<(), AvroError> {
        self.0.write(buffer)
    }

    fn read(schema: &'static SchemaFile, datum: &[u8]) -> Result<Self, AvroError> {
        Order::read(schema, datum).map(Self)
    }
}
