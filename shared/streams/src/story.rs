//! The span around the log lines about a record: it says whose story the record is part of.
//!
//! It is a span of `tracing` and costs nothing where nothing writes lines. It is none of
//! OpenTelemetry ([`crate::tracer`] has those): what collects spans leaves out [`TARGET`].

use tracing::Span;

/// The target of such spans.
pub const TARGET: &str = "streams::story";

/// The trace that a `traceparent` names.
pub fn trace_id(traceparent: Option<&str>) -> Option<&str> {
    traceparent?.split('-').nth(1).filter(|id| id.len() == 32)
}

/// The span of a story by the names that every program understands: that of
/// [`crate::Service::story`], unless the service has names of its own.
pub fn span(correlation_id: Option<&str>, traceparent: Option<&str>) -> Span {
    // As an error, so that it is there for every line that is written at all.
    tracing::error_span!(
        target: TARGET,
        "record",
        correlation_id,
        trace_id = trace_id(traceparent),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_by_a_traceparent_alone() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_id(Some(parent)), Some("0af7651916cd43dd8448eb211c80319c"));
        for none in [None, Some(""), Some("00"), Some("00-0af7-b7ad6b7169203331-01")] {
            assert_eq!(trace_id(none), None, "{none:?}");
        }
    }
}
