//! The commands to orders, and its messages besides transitions.

use crate::{
    CommandId, CustomerId, OrderId, Reason, Sku, Timestamp,
    avro::{avro_record, avro_records},
    limits::{CHECK_BYTES_MAX, DETAIL_BYTES_MAX},
    values::{InvalidField, check_fields},
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// Most lines of an order.
pub const LINES_MAX: usize = 50;
/// Most pieces of one line.
pub const QUANTITY_MAX: i32 = 1000;
/// Longest note of an order, in characters (Unicode scalar values).
pub const NOTE_MAX: usize = 500;

/// What a customer asks of the shop in their own words, such as `ring twice`; empty if nothing.
///
/// At most [`NOTE_MAX`] characters, and no control character but line feed and tab: so it can stand
/// in a table, a mail and a terminal as it is. One that is no note is refused and not mended, as
/// the customer should see the words that the shop sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct Note(SmolStr);

/// Why a text is no note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// Longer than [`NOTE_MAX`].
    #[error("a note has at most {NOTE_MAX} characters, this one has {0}: leave some out")]
    Length(usize),
    /// Holds a control character.
    #[error(
        "{character:?} at character {position} is a control character: a note may hold line feeds \
         and tabs"
    )]
    Control {
        /// The first of them.
        character: char,
        /// Its place; the first character is 1.
        position: usize,
    },
}

impl Note {
    /// The note as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<SmolStr> for Note {
    type Error = InvalidNote;

    fn try_from(text: SmolStr) -> Result<Self, InvalidNote> {
        let is_wrong = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
        let wrong = text.chars().enumerate().find(|(_, c)| is_wrong(c));
        match (text.chars().count(), wrong) {
            (length, _) if length > NOTE_MAX => Err(InvalidNote::Length(length)),
            (_, Some((index, character))) => {
                Err(InvalidNote::Control { character, position: index + 1 })
            }
            (_, None) => Ok(Self(text)),
        }
    }
}

impl TryFrom<String> for Note {
    type Error = InvalidNote;

    fn try_from(text: String) -> Result<Self, InvalidNote> {
        Self::try_from(SmolStr::from(text))
    }
}

impl From<Note> for SmolStr {
    fn from(note: Note) -> SmolStr {
        note.0
    }
}

impl From<Note> for String {
    fn from(note: Note) -> String {
        note.0.into()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
    /// The customer.
    pub customer_id: CustomerId,
    /// 1 to [`LINES_MAX`] lines, each sku once.
    pub lines: Vec<RequestedLine>,
    /// When the command was accepted at the edge.
    pub issued_at: Timestamp,
    /// What the customer asks for in their own words.
    pub note: Note,
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
        let note = Note::default();
        Self { command_id, order_id, customer_id, lines, issued_at, note }
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
    /// The customer who asks, to whom no order of another one is there. None: the one who asks may
    /// cancel every order.
    pub customer_id: Option<CustomerId>,
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
/// In Avro it is still `murmuration.inventory.OrderValidation`: a reader that has the old name
/// could not read a record of another one (Avro 1.12, Schema Resolution), and registries refuse the
/// change.
///
/// An outcome becomes a reason of its order, so what no order can carry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "OutcomeRecord")]
pub struct OrderValidation {
    /// The record's key.
    pub order_id: OrderId,
    /// As the order's `required_checks` names it: 1 to [`CHECK_BYTES_MAX`] bytes.
    pub check: String,
    /// Passed or failed.
    pub outcome: Outcome,
    /// Why it failed, for programs; `ok` when it passed: 1 to [`CHECK_BYTES_MAX`] bytes.
    pub code: String,
    /// Why it failed, for people; empty when it passed: [`DETAIL_BYTES_MAX`] bytes at most.
    pub detail: String,
    /// When it was decided.
    pub decided_at: Timestamp,
}

avro_record!(OrderValidation, "orders/OrderValidation.avsc");

/// The fields of an outcome, whatever they hold.
#[derive(Deserialize)]
#[serde(rename = "OrderValidation")]
struct OutcomeRecord {
    order_id: OrderId,
    check: String,
    outcome: Outcome,
    code: String,
    detail: String,
    decided_at: Timestamp,
}

impl TryFrom<OutcomeRecord> for OrderValidation {
    type Error = InvalidField;

    fn try_from(record: OutcomeRecord) -> Result<Self, InvalidField> {
        let OutcomeRecord { order_id, check, outcome, code, detail, decided_at } = record;
        check_fields(&[
            ("check", &check, (1, CHECK_BYTES_MAX)),
            ("code", &code, (1, CHECK_BYTES_MAX)),
            ("detail", &detail, (0, DETAIL_BYTES_MAX)),
        ])?;
        Ok(Self { order_id, check, outcome, code, detail, decided_at })
    }
}

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
    /// The version of the order that the command was judged by; none when there was no order. Who
    /// reads this record before that order knows that it is there.
    pub order_version: Option<i64>,
    /// When it was decided.
    pub refused_at: Timestamp,
    /// The customer of a PlaceOrder: whose order it would have been.
    pub customer_id: Option<CustomerId>,
}

avro_record!(CommandRefused, "orders/CommandRefused.avsc");
