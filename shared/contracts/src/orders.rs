//! What is said to orders, and what orders says besides transitions.

use crate::{
    CommandId, CustomerId, OrderId, Reason, Sku, Timestamp,
    avro::{avro_record, avro_records},
};
use serde::{Deserialize, Serialize};

/// Most lines of an order.
pub const LINES_MAX: usize = 50;
/// Most pieces of one line.
pub const QUANTITY_MAX: i32 = 1000;

/// A product and how many of it; the price is the shop's to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedLine {
    /// Which product.
    pub sku: Sku,
    /// 1 to [`QUANTITY_MAX`].
    pub quantity: i32,
}

/// Command: place an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// Equal for equal requests under one `Idempotency-Key`.
    pub command_id: CommandId,
    /// The record's key.
    pub order_id: OrderId,
    /// Who orders.
    pub customer_id: CustomerId,
    /// 1 to [`LINES_MAX`] lines, each sku once.
    pub lines: Vec<RequestedLine>,
    /// When the command was accepted at the edge.
    pub issued_at: Timestamp,
}

avro_record!(PlaceOrder, "orders/PlaceOrder.avsc");

impl PlaceOrder {
    /// The command with what every order has. What a customer may leave out is left out.
    pub fn new(
        command_id: CommandId,
        order_id: OrderId,
        customer_id: CustomerId,
        lines: Vec<RequestedLine>,
        issued_at: Timestamp,
    ) -> Self {
        Self { command_id, order_id, customer_id, lines, issued_at }
    }
}

/// Command: cancel an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// This command.
    pub command_id: CommandId,
    /// The record's key.
    pub order_id: OrderId,
    /// When the command was accepted at the edge.
    pub issued_at: Timestamp,
}

avro_record!(CancelOrder, "orders/CancelOrder.avsc");

/// What `orders.commands` carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderCommand {
    /// Place an order.
    PlaceOrder(PlaceOrder),
    /// Cancel an order.
    CancelOrder(CancelOrder),
}

avro_records!(OrderCommand { PlaceOrder, CancelOrder });

impl OrderCommand {
    /// The order that the command is about: the record's key.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::PlaceOrder(command) => command.order_id,
            Self::CancelOrder(command) => command.order_id,
        }
    }

    /// The command's own id.
    pub fn command_id(&self) -> CommandId {
        match self {
            Self::PlaceOrder(command) => command.command_id,
            Self::CancelOrder(command) => command.command_id,
        }
    }

    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PlaceOrder(_) => "PlaceOrder",
            Self::CancelOrder(_) => "CancelOrder",
        }
    }
}

/// Passed or failed. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The check passed.
    Passed,
    /// The check failed.
    Failed,
}

/// The outcome of one check that an order requires: the answer of a validator to orders' question.
///
/// In Avro it is still `murmuration.inventory.OrderValidation`: a reader that has the old name could
/// not read a record of another one (Avro 1.12, Schema Resolution), and registries refuse the change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderValidation {
    /// The record's key.
    pub order_id: OrderId,
    /// As the order's `required_checks` names it.
    pub check: String,
    /// Passed or failed.
    pub outcome: Outcome,
    /// Why it failed, for programs; `ok` when it passed.
    pub code: String,
    /// Why it failed, for people; empty when it passed.
    pub detail: String,
    /// When it was decided.
    pub decided_at: Timestamp,
}

avro_record!(OrderValidation, "orders/OrderValidation.avsc");

/// A command that changed nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRefused {
    /// The command.
    pub command_id: CommandId,
    /// The order it was about: the record's key.
    pub order_id: OrderId,
    /// [`OrderCommand::name`].
    pub command: String,
    /// Every reason known.
    pub reasons: Vec<Reason>,
    /// The version of the order that the command was judged by; none when there was no order. Who reads this
    /// record before that order knows that it is there.
    pub order_version: Option<i64>,
    /// When it was decided.
    pub refused_at: Timestamp,
}

avro_record!(CommandRefused, "orders/CommandRefused.avsc");
