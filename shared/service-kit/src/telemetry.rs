//! Logs, traces and metrics of one process.
//!
//! Every span has W3C ids, whether or not anyone collects them, so a trace can be followed through
//! HTTP and Kafka headers and through the logs. They are exported (OTLP over HTTP, protobuf) only
//! if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and then records have spans as well
//! ([`streams::tracer`]); `OTEL_TRACES_SAMPLER` says which traces are. Metrics are on
//! [`/metrics`](crate::metrics) as well.

mod spans;

use std::{env, io::IsTerminal, panic, sync::Once, time::Duration};

use axum::http::HeaderMap;
use opentelemetry::{Context, KeyValue, global, trace::TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{CommonConfig, LogFormat},
    metrics::Metrics,
};

/// Names the collector, and switches export on.
const ENDPOINT_ENV: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// What is logged unless `RUST_LOG` says otherwise: libraries speak only when something is wrong.
/// Those of the store not even then: what they say comes to us as an error, and is said once.
const DEFAULT_FILTER: &str = "info,fjall=off,h2=warn,hyper=warn,hyper_util=warn,lettre=warn,\
    librdkafka=warn,lsm_tree=off,opentelemetry=warn,opentelemetry_sdk=warn,\
    opentelemetry_otlp=warn,rdkafka=warn,reqwest=warn,sqlx=warn";

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
        let wanted = env::var(ENDPOINT_ENV).is_ok_and(|url| !url.is_empty());

        let mut tracer_provider = SdkTracerProvider::builder().with_resource(resource.clone());
        let mut collector = None;
        let mut export_error = None;
        match wanted.then(exporters) {
            Some(Ok((spans, metrics))) => {
                tracer_provider = tracer_provider.with_batch_exporter(spans);
                collector = Some(metrics);
            }
            Some(Err(error)) => export_error = Some(error),
            None => {}
        }
        let is_collected = collector.is_some();
        let metrics = Metrics::new(resource, collector);
        metrics.install();
        global::set_meter_provider(metrics.provider().clone());
        let tracer_provider = tracer_provider.build();
        global::set_tracer_provider(tracer_provider.clone());
        if is_collected {
            streams::tracer::install(Box::new(spans::Spans::of(&tracer_provider)));
        }
        install_subscriber(log_format, tracer_provider.tracer(service));
        install_panic_log();
        if let Some(error) = export_error {
            // A shop without traces is still a shop.
            tracing::warn!("no traces or metrics are exported, check {ENDPOINT_ENV}: {error:#}");
        }
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

/// They read the endpoint, headers and timeouts from the environment themselves.
fn exporters() -> anyhow::Result<(SpanExporter, MetricExporter)> {
    let spans = SpanExporter::builder().with_http().build()?;
    let metrics = MetricExporter::builder().with_http().build()?;
    Ok((spans, metrics))
}

fn install_subscriber(format: LogFormat, tracer: opentelemetry_sdk::trace::SdkTracer) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    let lines = tracing_subscriber::fmt::layer().with_ansi(std::io::stdout().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let installed = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .with(lines)
        .try_init();
    if installed.is_err() {
        tracing::debug!("a subscriber is already installed; this one is not used");
    }
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
