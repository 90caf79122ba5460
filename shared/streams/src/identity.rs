//! The messages of each writer, as types: a producer is generic over a service's identity `S` and
//! takes only messages that `S` [`Owns`].
//!
//! Both traits are here, the identities and the facts in the crate that declares the topics. So
//! Rust's orphan rule seals the table: no third crate can give a service one fact more.

use crate::{record::Record, story, topic::TopicSpec};
use tracing::Span;

/// A service's identity, as a type.
pub trait Service: Send + Sync + 'static {
    /// The name of binary, consumer group and `ce_source`.
    const NAME: &'static str;

    /// The version that `lineage` tells.
    const VERSION: &'static str;

    /// Where it puts the records that it cannot handle.
    fn dead_letters() -> &'static TopicSpec;

    /// The span of the log lines about the story of this correlation id and trace. `record` is a
    /// part of it, if one is at hand.
    fn story(
        correlation_id: Option<&str>,
        traceparent: Option<&str>,
        _record: Option<&Record>,
    ) -> Span {
        story::span(correlation_id, traceparent)
    }
}

/// `Self` is the one that may write `F`.
pub trait Owns<F>: Service {}
