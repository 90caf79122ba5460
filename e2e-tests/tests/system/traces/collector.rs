//! [`Collector`]: what spans are exported to (OTLP over HTTP, protobuf).

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode as SpanStatus},
};
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// A span, as far as the tests look at it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub service: String,
    pub name: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub attributes: BTreeMap<String, String>,
    /// Span and attributes.
    pub links: Vec<(Vec<u8>, BTreeMap<String, String>)>,
    /// Why, if it says so.
    pub failed: Option<String>,
}

/// All that were exported.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<Seen>>>);

impl Collector {
    /// A collector, and its endpoint. It answers as long as the process lives: on a thread of its
    /// own, as each test has its own runtime.
    pub async fn start() -> (Self, String) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .route("/v1/metrics", post(|| async { StatusCode::OK }))
            .with_state(collector.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, routes).await.unwrap();
            });
        });
        (collector, endpoint)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    /// The paths of a trace, from its root to each span: `service name` per step. What came twice,
    /// as Kafka moved a partition in between, is there once.
    pub fn tree(&self, trace: &[u8]) -> BTreeSet<Vec<String>> {
        let spans = self.spans();
        let by_id: BTreeMap<_, _> = spans
            .iter()
            .filter(|span| span.trace == trace)
            .map(|span| (span.id.as_slice(), span))
            .collect();
        let path = |span: &&Seen| {
            let mut path = Vec::new();
            let mut at = Some(*span);
            while let Some(span) = at {
                path.push(format!("{} {}", span.service, span.name));
                at = by_id.get(span.parent.as_slice()).copied();
            }
            path.reverse();
            path
        };
        by_id.values().map(path).collect()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = collector.0.lock().unwrap();
    for of_process in request.resource_spans {
        let resource = of_process.resource.map(|resource| texts(resource.attributes));
        let service = resource.and_then(|all| all.get("service.name").cloned());
        let service = service.unwrap_or_default();
        for of_scope in of_process.scope_spans {
            spans.extend(of_scope.spans.into_iter().map(|span| seen(&service, span)));
        }
    }
    StatusCode::OK
}

fn seen(service: &str, span: Span) -> Seen {
    let links = span.links.into_iter().map(|link| (link.span_id, texts(link.attributes)));
    Seen {
        service: service.to_owned(),
        name: span.name,
        trace: span.trace_id,
        id: span.span_id,
        parent: span.parent_span_id,
        attributes: texts(span.attributes),
        links: links.collect(),
        failed: span
            .status
            .filter(|status| status.code() == SpanStatus::Error)
            .map(|it| it.message),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value.and_then(|value| value.value)? {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key, value))
    };
    attributes.into_iter().filter_map(text).collect()
}
