//! [`Metrics`]: the numbers of one process, as instruments of OpenTelemetry. `GET /metrics` shows
//! them as Prometheus text; if a collector is set, they go there as well.
//!
//! Counters and histograms are atomics of the SDK. Gauges are read when one of the two asks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing,
};
use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use parking_lot::{Mutex, RwLock};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder, process_collector::ProcessCollector};
use streams::{
    Meters,
    meter::{Kind, Metric, Reader, Sink},
};

use crate::problem::Problem;

/// Those of this process, once its telemetry has started.
static PROCESS: OnceLock<Metrics> = OnceLock::new();

/// The numbers of a process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    provider: SdkMeterProvider,
    meter: Meter,
    registry: Registry,
    instruments: RwLock<HashMap<&'static str, Instrument>>,
    gauges: Mutex<HashMap<&'static str, Readers>>,
}

type Readers = Arc<Mutex<Vec<Reader>>>;

#[derive(Clone)]
enum Instrument {
    Counter(Counter<u64>),
    Histogram(Histogram<f64>),
}

impl Default for Metrics {
    /// Numbers that no collector gets, as in tests.
    fn default() -> Self {
        Self::new(Resource::builder_empty().build(), None)
    }
}

impl Metrics {
    /// The numbers of `resource`, for `/metrics` and for a collector, if there is one.
    pub(crate) fn new(resource: Resource, collector: Option<MetricExporter>) -> Self {
        let registry = Registry::new();
        let text = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info();
        let text = text.build().expect("nothing else is in the registry yet");
        let mut provider = SdkMeterProvider::builder().with_resource(resource).with_reader(text);
        if let Some(collector) = collector {
            provider = provider.with_periodic_exporter(collector);
        }
        // Its names are taken only once, and without it the rest is worth as much.
        let _ = registry.register(Box::new(ProcessCollector::for_self()));
        let provider = provider.build();
        let meter = provider.meter("murmuration");
        let (instruments, gauges) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Inner { provider, meter, registry, instruments, gauges }))
    }

    /// Those of the process, if its telemetry runs; others in a test, which has several services.
    pub fn of_process() -> Self {
        PROCESS.get().cloned().unwrap_or_default()
    }

    /// From now on these are those of the process.
    pub(crate) fn install(&self) {
        if PROCESS.set(self.clone()).is_err() {
            tracing::debug!("the process has metrics already; these are not used");
        }
    }

    /// What takes measurements.
    pub fn meters(&self) -> Meters {
        Meters::of(Arc::new(self.clone()))
    }

    /// All numbers now, as Prometheus text.
    ///
    /// # Errors
    /// When one of them cannot be written, which is a bug.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    /// `GET /metrics`; [`serve`](crate::serve) mounts it.
    pub fn router(&self) -> Router {
        Router::new().route("/metrics", routing::get(show)).with_state(self.clone())
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.0.provider
    }

    fn instrument(&self, metric: &'static Metric) -> Option<Instrument> {
        if let Some(known) = self.0.instruments.read().get(metric.name) {
            return Some(known.clone());
        }
        let meter = &self.0.meter;
        let made = match metric.kind {
            Kind::Counter => Instrument::Counter(
                meter
                    .u64_counter(metric.name)
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .build(),
            ),
            Kind::Histogram(bounds) => Instrument::Histogram(
                meter
                    .f64_histogram(metric.name)
                    .with_unit(metric.unit)
                    .with_description(metric.help)
                    .with_boundaries(bounds.to_vec())
                    .build(),
            ),
            Kind::Gauge => return None,
        };
        Some(self.0.instruments.write().entry(metric.name).or_insert(made).clone())
    }
}

impl Sink for Metrics {
    fn count(&self, metric: &'static Metric, labels: &[&str], n: u64) {
        if let Some(Instrument::Counter(counter)) = self.instrument(metric) {
            counter.add(n, &attributes(metric, labels));
        }
    }

    fn record(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        if let Some(Instrument::Histogram(histogram)) = self.instrument(metric) {
            histogram.record(value, &attributes(metric, labels));
        }
    }

    fn observe(&self, metric: &'static Metric, read: Reader) {
        let mut gauges = self.0.gauges.lock();
        if let Some(readers) = gauges.get(metric.name) {
            readers.lock().push(read);
            return;
        }
        let readers: Readers = Arc::new(Mutex::new(vec![read]));
        gauges.insert(metric.name, Arc::clone(&readers));
        drop(gauges);
        let tell = move |observer: &dyn AsyncInstrument<f64>| {
            for read in readers.lock().iter() {
                read(&mut |labels, value| observer.observe(value, &attributes(metric, labels)));
            }
        };
        let meter = &self.0.meter;
        // The meter keeps the callback; the handles are of no further use.
        if metric.kind == Kind::Counter {
            let counter = meter.f64_observable_counter(metric.name).with_callback(tell);
            let _counter = counter.with_unit(metric.unit).with_description(metric.help).build();
        } else {
            let gauge = meter.f64_observable_gauge(metric.name).with_callback(tell);
            let _gauge = gauge.with_unit(metric.unit).with_description(metric.help).build();
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn attributes(metric: &'static Metric, labels: &[&str]) -> Vec<KeyValue> {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(labels);
    labels.map(|(name, value)| KeyValue::new(*name, (*value).to_owned())).collect()
}

/// The figures of the service, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics", responses(
    (status = 200, description = "text format 0.0.4", body = String),
    (status = 500, description = "our own error", body = Problem,
        content_type = "application/problem+json")))]
pub(crate) async fn show(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => Problem::internal(&error.into()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::meter::{CHECKS, LAG_AGE, PHASES, RECORDS, RUNTIME};

    /// The values of the lines that begin with `start`.
    fn values(text: &str, start: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_measured_is_shown_under_the_name_of_the_table() {
        let metrics = Metrics::default();
        let meters = metrics.meters();
        for metric in RUNTIME {
            let labels = vec!["x"; metric.labels.len()];
            match metric.kind {
                Kind::Counter => meters.count(metric, &labels, 2),
                Kind::Histogram(_) => meters.record(metric, &labels, 0.003),
                Kind::Gauge => meters.observe(metric, move |tell| tell(&labels, 7.0)),
            }
        }
        let text = metrics.text().unwrap();
        for metric in RUNTIME {
            let (name, kind) = (metric.prometheus_name(), metric.prometheus_kind());
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} in {text}");
            assert!(text.contains(&format!("# HELP {name} {}\n", metric.help)), "{name} in {text}");
        }
        assert_eq!(values(&text, "streams_records_total{loop=\"x\"}"), ["2"]);
        let bucket = "streams_transaction_phase_duration_seconds_bucket{loop=\"x\",phase=\"x\",le=";
        assert!(values(&text, bucket).contains(&"1".to_owned()), "{text}");
        assert!(text.contains("\nprocess_open_fds "), "{text}");
    }

    #[test]
    fn counters_add_up_and_one_that_has_not_grown_is_shown() {
        let metrics = Metrics::default();
        let meters = metrics.meters();
        meters.count(&RECORDS, &["idle"], 0);
        meters.count(&RECORDS, &["busy"], 2);
        meters.count(&RECORDS, &["busy"], 3);
        meters.record(&PHASES, &["busy", "send"], 0.5);
        let text = metrics.text().unwrap();
        assert_eq!(values(&text, "streams_records_total{loop=\"idle\"}"), ["0"]);
        assert_eq!(values(&text, "streams_records_total{loop=\"busy\"}"), ["5"]);
    }

    #[test]
    fn a_gauge_is_read_when_it_is_asked_for_and_may_have_several_readers() {
        let metrics = Metrics::default();
        let (meters, state) = (metrics.meters(), Arc::new(Mutex::new(1.0)));
        let read = Arc::clone(&state);
        meters.observe(&CHECKS, move |tell| tell(&["kafka"], *read.lock()));
        meters.observe(&CHECKS, |tell| tell(&["database"], 0.0));
        meters.observe(&LAG_AGE, |_| {});
        *state.lock() = 2.0;
        let text = metrics.text().unwrap();
        assert_eq!(values(&text, "service_check_state{check=\"kafka\"}"), ["2"]);
        assert_eq!(values(&text, "service_check_state{check=\"database\"}"), ["0"]);
        assert_eq!(values(&text, "streams_lag_seconds"), Vec::<String>::new());
    }
}
