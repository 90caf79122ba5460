//! The messages of email.

use crate::{OrderId, Status, Timestamp, avro::avro_record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a mail says. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EmailKind {
    /// Your order is confirmed.
    Confirmation,
    /// We cannot deliver what you ordered.
    Rejection,
    /// Your order was cancelled.
    Cancellation,
    /// You have your money back.
    Refund,
}

impl EmailKind {
    /// The mail that an order at `status` deserves, if any.
    pub fn for_status(status: Status) -> Option<Self> {
        match status {
            Status::Confirmed => Some(Self::Confirmation),
            Status::Rejected => Some(Self::Rejection),
            Status::Cancelled => Some(Self::Cancellation),
            Status::Refunded => Some(Self::Refund),
            Status::Requested
            | Status::Validated
            | Status::Paid
            | Status::PaymentDeclined
            | Status::RefundDue => None,
        }
    }

    /// The name in a Message-ID.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Rejection => "rejection",
            Self::Cancellation => "cancellation",
            Self::Refund => "refund",
        }
    }
}

/// The Message-ID of the mail of `kind` about `order_id`: the same for ever (RFC 5322, 3.6.4), so
/// that a mail that is sent again after a crash can be told from a second mail.
pub fn message_id(order_id: OrderId, kind: EmailKind) -> String {
    format!("<{order_id}.{}@murmuration.shop>", kind.as_str())
}

/// The mail server has accepted a mail about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailSent {
    /// The record's key.
    pub order_id: OrderId,
    /// What the mail says.
    pub kind: EmailKind,
    /// [`message_id`].
    pub message_id: String,
    /// The address.
    pub recipient: String,
    /// Every kind sent for this order so far, this one included.
    pub sent_kinds: Vec<EmailKind>,
    /// When the server accepted it.
    pub sent_at: Timestamp,
}

avro_record!(EmailSent, "email/EmailSent.avsc");

/// A mail about an order waits for another attempt, or has stopped waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailWaiting {
    /// The record's key.
    pub order_id: OrderId,
    /// The mail that waits; none once it is accepted or a dead letter.
    pub waiting: Option<Waiting>,
}

avro_record!(EmailWaiting, "email/EmailWaiting.avsc");

/// A mail that waits, with the record because of which it is sent: all that another attempt, or a
/// dead letter, needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the mail says.
    pub kind: EmailKind,
    /// When it was tried first.
    pub since: Timestamp,
    /// When it is tried again.
    pub next_at: Timestamp,
    /// How often the server did not take it.
    pub refusals: i32,
    /// How often the server has had the whole mail and did not answer.
    pub doubts: i32,
    /// Why it waits, in the server's words where it has spoken.
    pub cause: String,
    /// The topic of that record: `order-views`, or `orders` where the announcement was deleted.
    pub topic: String,
    /// Where it stands, in the partition of this record.
    pub offset: i64,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its value, as it stands on its topic.
    #[serde(with = "apache_avro::serde::bytes")]
    pub announcement: Vec<u8>,
}
