//! What the view says.

use crate::{Order, OrderId, Timestamp, avro::avro_record};
use serde::{Deserialize, Serialize};

/// An order can now be seen in the view, at this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewUpdated {
    /// The record's key.
    pub order_id: OrderId,
    /// The order's version that a reader now sees at least.
    pub view_version: i64,
    /// The order as the view shows it.
    pub order: Order,
    /// When the view was updated.
    pub updated_at: Timestamp,
}

avro_record!(ViewUpdated, "view/ViewUpdated.avsc");
