//! The table of metrics in the guide for operators is the one of the code, and alerts and
//! dashboards go by it.

use contracts::metrics;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use streams::meter::{Kind, PROCESS, RUNTIME};
use streams::tracer::names;

const PAGE: &str = "docs/operating.md";
const BEGIN: &str = "<!-- metrics: `UPDATE_DOCS=1 cargo test -p contracts` writes this table -->\n";
const END: &str = "<!-- end of metrics -->\n";

/// What a scrape adds to every series, and what it tells itself.
const OF_SCRAPES: [&str; 3] = ["instance", "job", "service"];
/// What may stand in an expression besides metrics and their labels.
const PROMQL: [&str; 7] = ["by", "histogram_quantile", "increase", "max", "min", "rate", "sum"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// Every name that a service shows to Prometheus, with its labels.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let own = metrics::OF_SERVICES.iter().map(|(_, metric)| *metric);
    let mut known = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    for metric in RUNTIME.iter().copied().chain(own) {
        let name = metric.prometheus_name();
        let labels: BTreeSet<_> = metric.labels.iter().map(|it| it.replace('.', "_")).collect();
        if matches!(metric.kind, Kind::Histogram(_)) {
            let bucket = labels.iter().cloned().chain(["le".to_owned()]).collect();
            known.insert(format!("{name}_bucket"), bucket);
            known.insert(format!("{name}_sum"), labels.clone());
            known.insert(format!("{name}_count"), labels);
        } else {
            known.insert(name, labels);
        }
    }
    known.extend(PROCESS.iter().map(|(name, ..)| ((*name).to_owned(), BTreeSet::new())));
    known
}

/// The names in a PromQL expression: not its strings, durations and numbers.
fn words(expression: &str) -> BTreeSet<String> {
    let outside = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let without_ranges = outside.split('[').enumerate().map(|(at, part)| match at {
        0 => part,
        _ => part.split_once(']').expect("a range has an end").1,
    });
    let text = without_ranges.collect::<Vec<_>>().join(" ");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    words.filter(is_name).map(str::to_owned).collect()
}

/// The labels that `expression` may name; why it cannot work, if one of its names is none.
fn labels_of(expression: &str) -> Result<BTreeSet<String>, String> {
    let known = known();
    let words = words(expression);
    let metrics: Vec<_> = words.iter().filter_map(|word| known.get(word)).collect();
    if metrics.is_empty() {
        return Err(format!("no metric of the table in {expression}"));
    }
    let of_scrapes = OF_SCRAPES.map(str::to_owned);
    let labels: BTreeSet<_> = metrics.into_iter().flatten().cloned().chain(of_scrapes).collect();
    for word in &words {
        let is_known = known.contains_key(word) || labels.contains(word);
        if !is_known && !PROMQL.contains(&word.as_str()) {
            return Err(format!("{word} in {expression} is neither a metric nor its label"));
        }
    }
    Ok(labels)
}

/// The labels that a text shows, between `before` and `after`.
fn shown<'a>(text: &'a str, before: &str, after: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = text.split(before).skip(1).map(move |part| part.split(after).next().unwrap());
    parts.collect::<Vec<_>>().into_iter()
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/dashboards");
    let mut dashboards = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        dashboards.push((name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()));
    }
    dashboards
}

fn all<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

#[test]
fn the_guide_has_each_metric() {
    let page = read(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let fresh = format!("{before}{BEGIN}\n{}\n{END}{after}", metrics::table());
    super::assert_fresh(PAGE, &fresh);
}

#[test]
fn each_alert_goes_by_metrics_of_the_table_and_has_its_paragraph_and_its_test() {
    let (rules, page) = (read("deploy/alerts/shop.yml"), read(PAGE));
    let tests = read("deploy/alerts/shop.test.yml");
    let rules: Value = serde_yaml_ng::from_str(&rules).unwrap();
    let rules: Vec<_> = all(&rules, "groups").flat_map(|group| all(group, "rules")).collect();
    assert!(rules.len() > 10, "{}", rules.len());
    for rule in &rules {
        let (alert, expression) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        let labels = labels_of(expression).unwrap();
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        for label in shown(summary, "$labels.", " ") {
            assert!(labels.contains(label), "{label} in {summary}");
        }
        assert!(page.contains(&format!("\n#### {alert}\n")), "{alert} has no paragraph");
        let told = format!("alertname: {alert}\n");
        assert!(tests.contains(&told), "no test raises {alert}");
        let link = format!("{PAGE}#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], link, "{alert} links nowhere");
    }
}

#[test]
fn each_panel_goes_by_metrics_of_the_table_and_says_what_it_shows() {
    let dashboards = dashboards();
    let names: BTreeSet<_> = dashboards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["flow", "lag", "order", "transactions"]));
    for (name, dashboard) in &dashboards {
        assert_eq!(dashboard["uid"], format!("murmuration-{name}"));
        let mut titles = BTreeSet::new();
        for panel in all(dashboard, "panels").filter(|panel| panel["type"] != "text") {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title), "two panels of {name} are called {title}");
            assert!(panel["description"].as_str().is_some_and(|it| !it.is_empty()), "{title}");
            assert!(all(panel, "targets").count() > 0, "{title} asks nothing");
            for target in all(panel, "targets") {
                match panel["datasource"]["uid"].as_str().unwrap() {
                    "prometheus" => assert_asks_prometheus(title, target),
                    "tempo" => assert_asks_tempo(title, target),
                    other => panic!("{title} asks {other}"),
                }
            }
        }
    }
}

fn assert_asks_prometheus(title: &str, target: &Value) {
    let labels = labels_of(target["expr"].as_str().unwrap());
    let labels = labels.unwrap_or_else(|error| panic!("{title}: {error}"));
    let legend = target["legendFormat"].as_str().unwrap();
    for label in shown(legend, "{{", "}}") {
        assert!(labels.contains(label), "{title}: {label} in {legend}");
    }
}

/// Spans are found by the names that the runtime gives to their attributes.
fn assert_asks_tempo(title: &str, target: &Value) {
    let query = target["query"].as_str().unwrap();
    let mut attributes = shown(query, "span.", " ").peekable();
    assert!(attributes.peek().is_some(), "{title}: {query}");
    for attribute in attributes {
        let is_known = names::ALL.contains(&attribute) || attribute == "order_id";
        assert!(is_known, "{title}: {attribute}");
    }
}

#[test]
fn a_name_that_no_service_shows_is_found() {
    for right in [
        r#"sum by (loop) (rate(streams_records_total{loop="view"}[$__rate_interval])) > 0"#,
        "histogram_quantile(0.99, sum by (le, task) (payments_bank_call_duration_seconds_bucket))",
        r#"max by (service) (up{job="murmuration"}) == 0"#,
    ] {
        assert!(labels_of(right).is_ok(), "{right}");
    }
    for wrong in [
        "sum(streams_record_total)",
        "sum by (partition) (streams_records_total)",
        "sum by (le) (payments_bank_call_duration_seconds_count)",
        r#"streams_records_total{group="view"}"#,
        "stddev(streams_records_total)",
        "sum(1)",
    ] {
        assert!(labels_of(wrong).is_err(), "{wrong}");
    }
}
