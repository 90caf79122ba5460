//! A transition as the timeline and the event streams have it.

use super::{standing, time};
use crate::domain::goal::Standing;
use contracts::{Order, OrderId};
use serde::Serialize;
use streams::{Record, record::names};
use utoipa::ToSchema;

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TransitionView {
    /// 1 for the first.
    pub version: i64,
    /// What happened.
    #[schema(example = "OrderValidated")]
    pub transition: String,
    /// Where it led.
    #[schema(example = "validated")]
    pub status: String,
    /// The log.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The service that held the baton.
    pub writer: String,
    /// The services that the fact has passed through, each with its version, oldest first.
    #[schema(example = json!(["orders@0.1.0"]))]
    pub lineage: Vec<String>,
    /// `topic/partition/offset` of the record that caused it.
    pub causation_id: Option<String>,
    /// RFC 3339.
    pub occurred_at: String,
    /// Milliseconds since the order was requested.
    pub latency_ms: i64,
    /// Who has asked for it at the edge, such as `customer:ada`; null in a shop that does not ask.
    pub caller: Option<String>,
}

impl TransitionView {
    /// Whether the order has ended with it.
    pub fn is_terminal(&self) -> bool {
        match standing(&self.status, self.version) {
            Standing::Shown { status, .. } => status.is_terminal(),
            Standing::Unknown | Standing::Refused => false,
        }
    }
}

/// The services of a header `lineage`.
pub(crate) fn hops(lineage: Option<&str>) -> Vec<String> {
    lineage.iter().flat_map(|lineage| lineage.split(" > ")).map(str::to_owned).collect()
}

/// How long after its request the order has made this transition.
pub(crate) fn latency_ms(order: &Order) -> i64 {
    order.occurred_at.millis().saturating_sub(order.requested_at.millis())
}

/// A transition of some order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventView {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    pub order_id: OrderId,
    /// What happened to it.
    #[serde(flatten)]
    pub transition: TransitionView,
}

impl EventView {
    /// The transition that `record` says, which leads to `order`.
    pub fn of(record: &Record, order: &Order) -> Self {
        let header = |name| record.headers.get(name);
        let transition = TransitionView {
            version: order.version,
            transition: order.transition.as_str().to_owned(),
            status: order.status.as_str().to_owned(),
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            writer: header(names::SOURCE).unwrap_or("unknown").to_owned(),
            lineage: hops(header(names::LINEAGE)),
            causation_id: header(names::CAUSATION_ID).map(str::to_owned),
            occurred_at: time(order.occurred_at.millis()),
            latency_ms: latency_ms(order),
            caller: header(names::CALLER_ID).map(str::to_owned),
        };
        Self { order_id: order.order_id, transition }
    }
}
