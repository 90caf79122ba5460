//! [`Reason`]: why an order or a command failed.

use crate::{
    limits::{CHECK_BYTES_MAX, DETAIL_BYTES_MAX, ORDER_BYTES_MAX, clip},
    values::{InvalidField, check_fields},
};
use serde::{Deserialize, Serialize};

/// Why an order, or a command, did not go the straight way. Its texts hold no control characters
/// and are in their bounds: [`Reason::new`] sees to it, and what is read is refused otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ReasonRecord")]
#[non_exhaustive]
pub struct Reason {
    /// Its source: a check such as `inventory:LAST`, or `deadline`, `payment`, a field's path.
    pub check: String,
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Reason {
    /// A reason from its three parts. They may come from anywhere: control characters become
    /// blanks, and each is cut to what [`crate::limits`] allows.
    pub fn new(
        check: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let name = |text: String| match clean(text, CHECK_BYTES_MAX) {
            empty if empty.is_empty() => "unknown".to_owned(),
            name => name,
        };
        let detail = clean(detail.into(), DETAIL_BYTES_MAX);
        Self { check: name(check.into()), code: name(code.into()), detail }
    }
}

/// The texts of a [`Reason`], whatever they hold.
#[derive(Deserialize)]
#[serde(rename = "Reason")]
struct ReasonRecord {
    check: String,
    code: String,
    detail: String,
}

impl TryFrom<ReasonRecord> for Reason {
    type Error = InvalidField;

    fn try_from(record: ReasonRecord) -> Result<Self, InvalidField> {
        let ReasonRecord { check, code, detail } = record;
        // Reasons from before there were limits are longer than those that are made now.
        check_fields(&[
            ("reason.check", &check, (1, ORDER_BYTES_MAX)),
            ("reason.code", &code, (1, ORDER_BYTES_MAX)),
            ("reason.detail", &detail, (0, ORDER_BYTES_MAX)),
        ])?;
        Ok(Self { check, code, detail })
    }
}

fn clean(text: String, max: usize) -> String {
    clip(&text, max).replace(char::is_control, " ")
}
