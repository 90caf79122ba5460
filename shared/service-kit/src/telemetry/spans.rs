//! [`Spans`]: the spans of [`streams::tracer`] in OpenTelemetry.

use std::{borrow::Cow, collections::HashMap};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, Value,
    propagation::TextMapPropagator,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt,
        TracerProvider as _,
    },
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan},
};
use streams::tracer::{self, Attributes, Kind, New, SCHEMA_URL, Span, Tracer, names::ERROR_TYPE};

/// The header, and the name that its propagator asks for.
const TRACEPARENT: &str = "traceparent";

/// Opens spans for an exporter.
pub(super) struct Spans {
    tracer: SdkTracer,
}

impl Spans {
    /// Those of `provider`.
    pub(super) fn of(provider: &SdkTracerProvider) -> Self {
        let scope = InstrumentationScope::builder("streams").with_schema_url(SCHEMA_URL);
        Self { tracer: provider.tracer_with_scope(scope.build()) }
    }
}

impl Tracer for Spans {
    fn open(&self, new: New<'_>) -> Box<dyn Span> {
        let kind = match new.kind {
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Producer => SpanKind::Producer,
        };
        let link = |link: tracer::Link| {
            let context = context(&link.traceparent);
            Link::new(span_context(&context), key_values(link.attributes), 0)
        };
        let parent = new.parent.map_or_else(Context::new, context);
        let span = SpanBuilder::from_name(Cow::Owned(new.name))
            .with_kind(kind)
            .with_attributes(key_values(new.attributes))
            .with_links(new.links.into_iter().map(link).collect())
            .start_with_context(&self.tracer, &parent);
        Box::new(Open(span))
    }
}

/// One that ends when it is dropped.
#[derive(Debug)]
struct Open(SdkSpan);

impl Span for Open {
    fn traceparent(&self) -> String {
        let context = self.0.span_context();
        let (trace, span) = (context.trace_id(), context.span_id());
        format!("00-{trace}-{span}-{:02x}", context.trace_flags())
    }

    fn set(&mut self, name: &'static str, value: tracer::Value) {
        self.0.set_attribute(key_value((name, value)));
    }

    fn fail(&mut self, cause: &str) {
        self.0.set_status(Status::error(cause.to_owned()));
        // Few of them, as the conventions ask for: what it was is in the status.
        self.0.set_attribute(KeyValue::new(ERROR_TYPE, "_OTHER"));
    }
}

/// A trace as a header says it; none, if it says nothing of the kind.
fn context(traceparent: &str) -> Context {
    let header = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &header)
}

fn span_context(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

fn key_values(attributes: Attributes) -> Vec<KeyValue> {
    attributes.into_iter().map(key_value).collect()
}

fn key_value((name, value): (&'static str, tracer::Value)) -> KeyValue {
    let value: Value = match value {
        tracer::Value::Text(text) => text.into(),
        tracer::Value::Number(number) => number.into(),
    };
    KeyValue::new(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SpanData};
    use opentelemetry_semantic_conventions as conventions;
    use std::collections::BTreeSet;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn new(parent: Option<&str>) -> New<'_> {
        let attributes = vec![("messaging.kafka.offset", 7.into()), ("error.type", "x".into())];
        let link = tracer::Link { traceparent: CALLER.to_owned(), attributes: attributes.clone() };
        let (name, kind) = ("process sums".to_owned(), Kind::Consumer);
        New { name, kind, parent, attributes, links: vec![link] }
    }

    fn exported(sampler: Sampler, open: impl FnOnce(&Spans)) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_simple_exporter(exporter.clone())
            .build();
        open(&Spans::of(&provider));
        exporter.get_finished_spans().unwrap()
    }

    #[test]
    fn a_span_has_its_parent_its_link_and_the_version_of_its_words() {
        let mut says = String::new();
        let spans = exported(Sampler::AlwaysOn, |spans| {
            let mut span = spans.open(new(Some(CALLER)));
            span.fail("garbage");
            says = span.traceparent();
        });
        let [span] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((span.name.as_ref(), &span.span_kind), ("process sums", &SpanKind::Consumer));
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
        assert_eq!(says, format!("00-{trace}-{id}-01"));
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.links.links[0].span_context.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!(span.links.links[0].attributes.len(), 2);
        assert_eq!(span.instrumentation_scope.schema_url(), Some(SCHEMA_URL));
        assert_eq!(span.status, Status::error("garbage"));
    }

    #[test]
    fn what_is_not_sampled_is_not_exported_and_says_so_to_the_next() {
        let sampler = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let spans = exported(sampler(), |spans| {
            let root = spans.open(new(None)).traceparent();
            assert!(root.ends_with("-00"), "{root}");
            drop(spans.open(new(Some(&root))));
        });
        assert!(spans.is_empty(), "{spans:?}");
        let spans = exported(sampler(), |spans| drop(spans.open(new(Some(CALLER)))));
        assert_eq!(spans.len(), 1, "the caller has decided");
    }

    /// The conventions for messaging are in development: a new version may rename what we say.
    #[test]
    fn the_names_are_those_of_the_conventions() {
        use conventions::attribute as a;
        assert_eq!(SCHEMA_URL, conventions::SCHEMA_URL);
        let theirs = [
            a::MESSAGING_SYSTEM,
            a::MESSAGING_OPERATION_NAME,
            a::MESSAGING_OPERATION_TYPE,
            a::MESSAGING_DESTINATION_NAME,
            a::MESSAGING_DESTINATION_PARTITION_ID,
            a::MESSAGING_KAFKA_OFFSET,
            a::MESSAGING_KAFKA_MESSAGE_KEY,
            a::MESSAGING_CONSUMER_GROUP_NAME,
            a::MESSAGING_BATCH_MESSAGE_COUNT,
            a::MESSAGING_MESSAGE_ID,
            a::MESSAGING_MESSAGE_CONVERSATION_ID,
            a::ERROR_TYPE,
            a::SERVER_ADDRESS,
            a::SERVER_PORT,
            a::NETWORK_PROTOCOL_NAME,
            a::HTTP_REQUEST_METHOD,
            a::HTTP_REQUEST_RESEND_COUNT,
            a::HTTP_RESPONSE_STATUS_CODE,
            a::URL_FULL,
            a::URL_TEMPLATE,
        ];
        let set = |names: [&'static str; 20]| BTreeSet::from(names);
        assert_eq!(set(tracer::names::ALL), set(theirs));
    }
}
