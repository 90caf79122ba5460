//! Logs, traces and metrics of one process.
//!
//! Every span has W3C ids, whether or not anyone collects them, so a trace can be followed through
//! HTTP and Kafka headers and through the logs. They are exported (OTLP over HTTP, protobuf) only
//! if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and
//! `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` for one of the two. Then records have spans as well
//! ([`streams::tracer`]); `OTEL_TRACES_SAMPLER` says which traces are. Metrics are on
//! [`/metrics`](crate::metrics) as well.

mod lines;
mod spans;

use std::{env, fmt::Display, panic, sync::Once, time::Duration};

use axum::http::HeaderMap;
use opentelemetry::{Context, KeyValue, global, trace::TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    config::{CommonConfig, LogFormat, without_secrets},
    metrics::Metrics,
};

/// Names the collector, and switches export on: for all, or for one kind of signal.
const ENDPOINT_ENV: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENV: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const METRICS_ENV: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// How long the last export may hold up the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The telemetry of this process; keep it until the end and then call [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use = "telemetry that is dropped is not flushed"]
pub struct Telemetry {
    service: &'static str,
    tracer_provider: SdkTracerProvider,
    metrics: Metrics,
}

impl Telemetry {
    /// Installs logging, tracing and metrics for the whole process.
    ///
    /// Call it in `main`, before an async runtime exists: the exporters use their own threads and
    /// a blocking HTTP client.
    pub fn init(service: &'static str, config: &CommonConfig) -> Self {
        Self::start(service, config.instance, config.log_format)
    }

    /// As [`Telemetry::init`], for a program that has no [`CommonConfig`].
    pub fn start(service: &'static str, instance: u32, log_format: LogFormat) -> Self {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.instance.id", instance.to_string()))
            .build();
        // They read the endpoint, headers and timeouts from the environment themselves.
        let spans = wanted(TRACES_ENV, || SpanExporter::builder().with_http().build());
        let numbers = wanted(METRICS_ENV, || MetricExporter::builder().with_http().build());
        let is_collected = matches!(spans, Some(Ok(_)));
        let mut tracer_provider = SdkTracerProvider::builder().with_resource(resource.clone());
        let mut export_errors = Vec::new();
        match spans {
            Some(Ok(spans)) => tracer_provider = tracer_provider.with_batch_exporter(spans),
            Some(Err(error)) => export_errors.push(format!("no traces are exported: {error}")),
            None => {}
        }
        let collector = numbers.and_then(|numbers| {
            let failed = |error| export_errors.push(format!("no metrics are exported: {error}"));
            numbers.map_err(failed).ok()
        });
        let metrics = Metrics::new(resource, collector);
        metrics.install();
        global::set_meter_provider(metrics.provider().clone());
        let tracer_provider = tracer_provider.build();
        global::set_tracer_provider(tracer_provider.clone());
        if is_collected {
            streams::tracer::install(Box::new(spans::Spans::of(&tracer_provider)));
        }
        lines::install(log_format, tracer_provider.tracer(service));
        install_panic_log();
        // A shop without traces is still a shop.
        export_errors.iter().for_each(|error| tracing::warn!("{error}"));
        Self { service, tracer_provider, metrics }
    }

    /// The name that the service gave itself.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Exports what is left, for at most a few seconds. Call it outside any async runtime.
    pub fn shutdown(self) {
        if let Err(error) = self.tracer_provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!("the last traces were not exported: {error}");
        }
        if let Err(error) = self.metrics.provider().shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!("the last metrics were not exported: {error}");
        }
    }
}

/// The trace that a request belongs to, from its `traceparent` and `tracestate`.
pub fn trace_context(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)))
}

/// The headers that make a request to another system part of the current trace.
pub fn trace_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let context = tracing::Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderInjector(&mut headers));
    });
    headers
}

/// The request at hand is about this order: its log lines and its span say so.
pub fn about_order(order_id: impl Display) {
    tracing::Span::current().record("order_id", tracing::field::display(order_id));
}

/// What exports one kind of signal, whose own endpoint is in `variable`, if it has one; why not.
fn wanted<T>(
    variable: &str,
    exporter: impl FnOnce() -> Result<T, ExporterBuildError>,
) -> Option<Result<T, String>> {
    let set = |name: &&str| env::var(name).is_ok_and(|url| !url.is_empty());
    let variable = [variable, ENDPOINT_ENV].into_iter().find(set)?;
    let why = |error: ExporterBuildError| {
        // The error has the value, and the value may have a password.
        let value = env::var(variable).unwrap_or_default();
        let error = error.to_string().replace(&value, &without_secrets(&value));
        format!("check {variable}: {error}")
    };
    Some(exporter().map_err(why))
}

/// Makes a panic a log line like any other, so that it reaches the collector.
fn install_panic_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let backtrace = std::backtrace::Backtrace::capture();
            tracing::error!("panicked: {info}\n{backtrace}");
        }));
    });
}
