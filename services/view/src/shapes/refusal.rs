//! A command that was refused.

use super::{ReasonView, time};
use contracts::orders::CommandRefused;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A command that changed nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// The command.
    #[schema(value_type = String, format = "uuid")]
    pub command_id: Uuid,
    /// Its name.
    #[schema(example = "CancelOrder")]
    pub command: String,
    /// Every reason known.
    pub reasons: Vec<ReasonView>,
    /// The version of the order that the command was judged by; null when there was no order.
    pub order_version: Option<i64>,
    /// RFC 3339.
    pub refused_at: String,
}

impl From<&CommandRefused> for RefusalView {
    fn from(refused: &CommandRefused) -> Self {
        Self {
            command_id: refused.command_id.0,
            command: refused.command.to_string(),
            reasons: refused.reasons.iter().map(ReasonView::from).collect(),
            order_version: refused.order_version,
            refused_at: time(refused.refused_at.millis()),
        }
    }
}
