//! [`install`]: log lines, as text for people or as JSON for collectors.
//!
//! A line of JSON is one flat object: `timestamp`, `level`, `target`, `message`, then its own
//! fields and those of the spans around it. So `order_id` and `trace_id` have one place, whichever
//! part says them.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use opentelemetry_sdk::trace::SdkTracer;
use serde_json::{Map, Value};
use streams::story;
use tracing::{Event, Subscriber, field::Field, field::Visit};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    fmt::{
        FmtContext, FormatEvent, FormattedFields, MakeWriter,
        format::{JsonFields, Writer},
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise: libraries speak only when something is wrong.
/// Those of the store not even then: what they say comes to us as an error, and is said once.
const DEFAULT_FILTER: &str = "info,fjall=off,h2=warn,hyper=warn,hyper_util=warn,lettre=warn,\
    librdkafka=warn,lsm_tree=off,opentelemetry=warn,opentelemetry_sdk=warn,\
    opentelemetry_otlp=warn,rdkafka=warn,reqwest=warn,sqlx=warn";

/// Writes log lines from now on, and spans to `tracer`.
pub(super) fn install(format: LogFormat, tracer: SdkTracer) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    // A story's span is for lines alone: its record has one of its own, if anyone collects them.
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    let spans = spans.with_filter(filter_fn(|metadata| metadata.target() != story::TARGET));
    let lines = lines(format, io::stdout().is_terminal(), io::stdout);
    let installed = tracing_subscriber::registry().with(filter).with(spans).with(lines).try_init();
    if installed.is_err() {
        tracing::debug!("a subscriber is already installed; this one is not used");
    }
}

/// Writes lines to `writer`, which is a terminal or not.
fn lines<S, W>(format: LogFormat, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format.resolved(is_terminal) {
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Flat).boxed(),
        LogFormat::Text | LogFormat::Auto => lines.with_ansi(is_terminal).boxed(),
    }
}

/// One object per line. Of two fields with one name, the one nearer to the event counts.
struct Flat;

impl<S> FormatEvent<S, JsonFields> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let of_span = extensions.get::<FormattedFields<JsonFields>>();
            let of_span = of_span.map(|fields| serde_json::from_str(&fields.fields));
            if let Some(Ok(Value::Object(of_span))) = of_span {
                // What is meant for OpenTelemetry alone.
                let told = of_span.into_iter().filter(|(name, _)| !name.starts_with("otel."));
                fields.0.extend(told);
            }
        }
        event.record(&mut fields);
        let (metadata, mut now) = (event.metadata(), String::new());
        let target = fields.target_of_log().unwrap_or_else(|| metadata.target().to_owned());
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        let mut line = Map::new();
        for (name, value) in
            [("timestamp", now), ("level", metadata.level().to_string()), ("target", target)]
        {
            line.insert(name.to_owned(), value.into());
        }
        // A field cannot take the place of one of these.
        for (name, value) in fields.0 {
            line.entry(name).or_insert(value);
        }
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// Where a line comes from that was written with the crate `log`; without its other places.
    fn target_of_log(&mut self) -> Option<String> {
        let target = self.0.remove("log.target")?;
        self.0.retain(|name, _| !name.starts_with("log."));
        target.as_str().map(str::to_owned)
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    /// A number of milliseconds, as `Duration` has it.
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{error_span, info, warn};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, is_terminal: bool, say: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let lines = lines(format, is_terminal, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn say_in_a_story() {
        let request = error_span!("request", otel.name = "POST /orders", trace_id = "older");
        let _request = request.entered();
        let order = error_span!("order", order_id = "m-1", trace_id = TRACE, empty = None::<&str>);
        let _order = order.entered();
        warn!(
            record = "orders/0/7",
            attempt = 2,
            took_ms = 7_u128,
            late = true,
            "dead letter: \"a\"\nb"
        );
    }

    #[test]
    fn a_line_of_json_is_one_flat_object_with_its_order_and_its_trace() {
        let line = written(LogFormat::Json, true, say_in_a_story);
        assert_eq!(line.lines().count(), 1, "{line}");
        let mut line: Value = serde_json::from_str(&line).unwrap();
        let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
        let said = serde_json::json!({
            "level": "WARN",
            "target": module_path!(),
            "message": "dead letter: \"a\"\nb",
            "record": "orders/0/7",
            "attempt": 2,
            "took_ms": 7,
            "late": true,
            "order_id": "m-1",
            "trace_id": TRACE,
        });
        assert_eq!(line, said);
    }

    #[test]
    fn a_line_of_the_crate_log_says_where_it_comes_from() {
        let say = || info!(log.target = "reqwest::connect", log.line = 929, "hello");
        let line: Value = serde_json::from_str(&written(LogFormat::Json, false, say)).unwrap();
        assert_eq!(
            (&line["target"], &line["log.line"]),
            (&"reqwest::connect".into(), &Value::Null)
        );
    }

    #[test]
    fn no_field_takes_the_place_of_the_level() {
        let line = written(LogFormat::Json, false, || info!(level = "x", timestamp = 1, "hello"));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].is_string(), "{line}");
    }

    #[test]
    fn what_is_no_terminal_gets_json_and_what_is_one_gets_colours() {
        let auto = |is_terminal| written(LogFormat::Auto, is_terminal, || info!("hello"));
        assert!(auto(false).starts_with('{'), "{}", auto(false));
        assert!(auto(true).contains("\u{1b}["), "{}", auto(true));
        let text = written(LogFormat::Text, false, say_in_a_story);
        assert!(text.contains("order_id=\"m-1\"") && text.contains(TRACE), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
