//! One span and one measurement per request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method},
    middleware::Next,
    response::Response,
};
use opentelemetry::trace::TraceContextExt;
use streams::{Meters, meter::REQUESTS};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::trace_context;

/// Runs the request in a span whose parent is the caller's.
pub(super) async fn trace(State(meters): State<Meters>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = request_span(&method, route, request.headers());
    let response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let elapsed_ms = started.elapsed().as_millis();
    span.in_scope(|| tracing::debug!(status = status.as_u16(), elapsed_ms, "answered"));
    let labels = [known_method(&method), route, status.as_str()];
    meters.record(&REQUESTS, &labels, started.elapsed().as_secs_f64());
    response
}

fn request_span(method: &Method, route: &str, headers: &HeaderMap) -> Span {
    // Not `info`: with `RUST_LOG=warn`, warnings still say which request they are about.
    let span = tracing::error_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        order_id = Empty,
        trace_id = Empty,
    );
    // The parent has to be set first: asking for the context starts the span. Both fail only if
    // no tracer is installed, as in tests.
    let _ = span.set_parent(trace_context(headers));
    let context = span.context();
    let ids = context.span().span_context().clone();
    if ids.is_valid() {
        span.record("trace_id", tracing::field::display(ids.trace_id()));
    }
    span
}

/// A client may invent methods, but not time series.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
