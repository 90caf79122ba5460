//! [`Meters`]: what a program measures, without a word about where that goes. A [`Metric`] is data;
//! `service-kit` makes instruments of OpenTelemetry of it, and a test what it likes.

mod table;

pub use table::*;

use std::{fmt, sync::Arc};

/// What a number does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows, from the start of the process.
    Counter,
    /// It is read when it is asked for.
    Gauge,
    /// Values by size, with these upper bounds.
    Histogram(&'static [f64]),
}

/// A number that a program tells, as data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The name in OpenTelemetry, with dots and without a unit.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// The unit as in UCUM: `s`, `By`, or what is counted in braces.
    pub unit: &'static str,
    /// What tells its values apart; each has few values, and none is an id.
    pub labels: &'static [&'static str],
    /// What it means, for people.
    pub help: &'static str,
}

impl Metric {
    /// A number that only grows.
    pub const fn counter(
        name: &'static str,
        unit: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, unit, labels, help }
    }

    /// A number that is read when it is asked for.
    pub const fn gauge(
        name: &'static str,
        unit: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, unit, labels, help }
    }

    /// Durations in seconds.
    pub const fn seconds(
        name: &'static str,
        bounds: &'static [f64],
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(bounds), unit: "s", labels, help }
    }

    /// The name on `/metrics`: underscores, the unit, and `_total` behind what only grows.
    pub fn prometheus_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }

    /// What it does, in Prometheus' words.
    pub fn prometheus_kind(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// Gives the values of a gauge, each with its labels.
pub type Reader = Box<dyn Fn(&mut dyn FnMut(&[&str], f64)) + Send + Sync>;

/// Where measurements go.
pub trait Sink: Send + Sync {
    /// A counter grows by `n`.
    fn count(&self, metric: &'static Metric, labels: &[&str], n: u64);

    /// A value for a histogram.
    fn record(&self, metric: &'static Metric, labels: &[&str], value: f64);

    /// Ask `read` for the values of a gauge whenever they are wanted, or of a counter that is kept
    /// elsewhere. Several readers of one metric add to each other, each with its own labels.
    fn observe(&self, metric: &'static Metric, read: Reader);
}

/// Takes measurements, or none at all, as by default. Clones go to the same place.
#[derive(Clone, Default)]
pub struct Meters(Option<Arc<dyn Sink>>);

impl Meters {
    /// Measurements for `sink`.
    pub fn of(sink: Arc<dyn Sink>) -> Self {
        Self(Some(sink))
    }

    /// A counter grows by `n`; with 0 it is shown from now on, so that its first growth is seen.
    pub fn count(&self, metric: &'static Metric, labels: &[&str], n: u64) {
        if let Some(sink) = &self.0 {
            sink.count(metric, labels, n);
        }
    }

    /// A value for a histogram.
    pub fn record(&self, metric: &'static Metric, labels: &[&str], value: f64) {
        if let Some(sink) = &self.0 {
            sink.record(metric, labels, value);
        }
    }

    /// Ask `read` for the values of a gauge, or of a counter that is kept elsewhere, whenever they
    /// are wanted.
    pub fn observe(
        &self,
        metric: &'static Metric,
        read: impl Fn(&mut dyn FnMut(&[&str], f64)) + Send + Sync + 'static,
    ) {
        if let Some(sink) = &self.0 {
            sink.observe(metric, Box::new(read));
        }
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Meters" } else { "Meters(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_has_its_unit_and_says_whether_it_only_grows() {
        assert_eq!(RECORDS.prometheus_name(), "streams_records_total");
        assert_eq!(LAG_AGE.prometheus_name(), "streams_lag_seconds");
        assert_eq!(LAG.prometheus_name(), "streams_lag_records");
        assert_eq!(PHASES.prometheus_name(), "streams_transaction_phase_duration_seconds");
    }

    #[test]
    fn each_metric_is_named_once_and_explained() {
        let mut names = BTreeSet::new();
        for metric in RUNTIME {
            assert!(names.insert(metric.prometheus_name()), "{metric:?}");
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{metric:?}");
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted(), "{metric:?}");
            }
        }
    }

    #[test]
    fn without_a_sink_nothing_happens() {
        let meters = Meters::default();
        meters.count(&RECORDS, &["sums"], 1);
        meters.observe(&LAG, |_| panic!("no one asks"));
    }
}
