//! The answers of the view as HTTP has them, in types: what the page draws. No IO, so that who has
//! the events can say the same.

pub mod order;
pub mod refusal;
pub mod timeline;
pub mod topology;

use crate::domain::goal::Standing;
use contracts::{Money, Reason, Status, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Amount {
    /// Minor units, such as cents.
    pub amount_minor: i64,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    pub currency: String,
}

impl From<&Money> for Amount {
    fn from(money: &Money) -> Self {
        Self { amount_minor: money.amount_minor, currency: money.currency.to_string() }
    }
}

/// Why something did not go the straight way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// Its source, such as `inventory:LAST`, `payment` or `deadline`.
    pub check: String,
    /// For programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl From<&Reason> for ReasonView {
    fn from(reason: &Reason) -> Self {
        let Reason { check, code, detail, .. } = reason.clone();
        Self { check, code, detail }
    }
}

/// A time of the tables as HTTP has it: RFC 3339.
pub(crate) fn time(millis: i64) -> String {
    Timestamp(millis).rfc3339()
}

/// The progress of an order whose status in the tables is `status`.
pub(crate) fn standing(status: &str, version: i64) -> Standing {
    let known = Status::ALL.into_iter().find(|known| known.as_str() == status);
    known.map_or(Standing::Refused, |status| Standing::Shown { status, version })
}
