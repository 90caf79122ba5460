//! What log lines say of the order that they are about, in every service: `order_id` and
//! `trace_id`.

use crate::{OrderId, topics::INVENTORY_COMMANDS};
use streams::{Record, lineage::Cause, record::names, story};
use tracing::Span;

/// The span of the log lines about `order_id`, whose trace is that of `traceparent`.
pub fn of_order(order_id: OrderId, traceparent: Option<&str>) -> Span {
    let trace_id = story::trace_id(traceparent);
    tracing::error_span!(target: story::TARGET, "order", %order_id, trace_id)
}

/// The span of the log lines about what follows from `cause`, which is `record`, if one is at hand.
/// The story of the shop is that of an order, and all of its records have the order's id as their
/// `correlationid`.
pub fn span(cause: &Cause, record: Option<&Record>) -> Span {
    of_story(cause.correlation_id.as_deref(), cause.traceparent.as_deref(), record)
}

/// The same by what a cause says of its story.
pub(crate) fn of_story(
    correlation_id: Option<&str>,
    traceparent: Option<&str>,
    record: Option<&Record>,
) -> Span {
    let order_id = correlation_id.filter(|_| !record.is_some_and(is_restock));
    let trace_id = story::trace_id(traceparent);
    tracing::error_span!(target: story::TARGET, "order", order_id, trace_id)
}

/// A restock is a story without an order.
fn is_restock(record: &Record) -> bool {
    record.is_on(&INVENTORY_COMMANDS) && record.headers.get(names::TYPE) == Some("Restock")
}
