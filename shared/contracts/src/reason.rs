//! [`Reason`]: why an order or a command failed.

use crate::limits::{CHECK_BYTES_MAX, DETAIL_BYTES_MAX, clip};
use serde::{Deserialize, Serialize};

/// Why an order, or a command, did not go the straight way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Its source: a check such as `inventory:LAST`, or `deadline`, `payment`, a field's path.
    pub check: String,
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Reason {
    /// A reason from its three parts, each cut to what [`crate::limits`] allows.
    pub fn new(
        check: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check: clipped(check.into(), CHECK_BYTES_MAX),
            code: clipped(code.into(), CHECK_BYTES_MAX),
            detail: clipped(detail.into(), DETAIL_BYTES_MAX),
        }
    }
}

fn clipped(mut text: String, max: usize) -> String {
    text.truncate(clip(&text, max).len());
    text
}
