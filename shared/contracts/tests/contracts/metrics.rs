//! The table of metrics in the guide for operators is the one of the code, and alerts go by it.

use contracts::{PARTITIONS, ServiceName, metrics};
use std::{collections::BTreeSet, fs, path::Path};

const PAGE: &str = "docs/operating.md";
const BEGIN: &str = "<!-- metrics: `UPDATE_DOCS=1 cargo test -p contracts` writes this table -->\n";
const END: &str = "<!-- end of metrics -->\n";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
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
    let known: BTreeSet<String> = ServiceName::ALL.into_iter().flat_map(metrics::names).collect();
    let of = |key: &'static str| {
        rules.lines().filter_map(move |line| line.trim().trim_start_matches("- ").strip_prefix(key))
    };
    for expression in of("expr: ") {
        let words = expression.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        for metric in words.filter(|word| word.contains('_')) {
            assert!(known.contains(metric), "{metric} in {expression}");
        }
    }
    let alerts: Vec<_> = of("alert: ").collect();
    assert_eq!(alerts.len(), of("expr: ").count());
    for alert in alerts {
        assert!(page.contains(&format!("\n#### {alert}\n")), "{alert} has no paragraph");
        let told = format!("alertname: {alert}\n");
        assert!(tests.contains(&told), "no test raises {alert}");
        let link = format!("{PAGE}#{}", alert.to_lowercase());
        assert!(of("runbook: ").any(|runbook| runbook == link), "{alert} links nowhere");
    }
    assert!(rules.contains(&format!("(streams_partitions) < {PARTITIONS}\n")));
    assert!(rules.contains(&format!("of {PARTITIONS} partitions")));
}
