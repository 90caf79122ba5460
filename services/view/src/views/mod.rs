//! The lean views: one file each with its upsert and its query; the tables are in `migrations/`.
//!
//! Each is written in the SQL transaction of a batch and guarded, so that a batch may come twice.
//! Each can be dropped and regenerated from the log, as nothing else is kept in it.

pub mod customer_orders;
pub mod order;
pub mod products;
pub mod refusals;
pub mod sales;
pub mod timeline;

use contracts::{Money, Reason, Timestamp};
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
        Self { amount_minor: money.amount_minor, currency: money.currency.clone() }
    }
}

/// Why something did not go the straight way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// Who says so, such as `inventory:LAST`, `payment` or `deadline`.
    pub check: String,
    /// For programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl From<&Reason> for ReasonView {
    fn from(reason: &Reason) -> Self {
        let Reason { check, code, detail } = reason.clone();
        Self { check, code, detail }
    }
}

/// A time of the tables as HTTP has it: RFC 3339.
pub(crate) fn time(millis: i64) -> String {
    Timestamp(millis).rfc3339()
}
