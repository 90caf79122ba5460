//! What the dashboards ask has answers: each panel's query, asked of a real Prometheus that has
//! scraped a real run.

use crate::support::together;
use e2e_tests::{PATIENCE, Prometheus, Turn, rules};
use serde_json::Value;
use std::{fs, path::Path};
use testkit::wait_for;
use tokio::sync::RwLockReadGuard;

/// For Grafana's variables: what it takes from the width of a picture, and from its time range.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "30s"), ("$__range", "15m")];

/// Panels that show what is wrong, and so nothing when all is well: what their query compares.
const EMPTY_WHEN_WELL: [(&str, &str); 1] = [("Checks that are not up", " < 2")];

/// The dashboard, the panel, and what it asks Prometheus.
fn queries() -> Vec<(String, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboards");
    let mut queries = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let Some(query) = target["expr"].as_str() else { continue };
                let fill = |text: String, (name, value)| text.replace(name, value);
                let query = VARIABLES.into_iter().fold(query.to_owned(), fill);
                let text = |of: &Value| of["title"].as_str().unwrap().to_owned();
                queries.push((text(&dashboard), text(panel), query));
            }
        }
    }
    queries
}

/// One order of each end.
async fn run(shop: &Turn<RwLockReadGuard<'static, ()>>) {
    let ends = [("ada", "TEA"), ("ada", "GONE"), ("declan", "TEA")];
    for (customer, sku) in ends {
        let order = shop.place(customer, &[(sku, 1)]).await.unwrap();
        shop.settled(order).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_panel_has_something_to_show() {
    let shop = together().await;
    let rules = fs::read_to_string(rules()).unwrap();
    // The counters have a value from before, or no rate would be seen.
    run(&shop).await;
    let prometheus = Prometheus::start(shop.shop(), &rules).await.unwrap();
    wait_for("a first scrape of each service", PATIENCE, || async {
        let up = prometheus.query(r#"up{job="murmuration"} == 1"#).await.unwrap();
        if up.len() >= 5 { Ok(()) } else { Err(format!("{up:?}")) }
    })
    .await;
    run(&shop).await;
    let queries = queries();
    assert!(queries.len() > 30, "{}", queries.len());
    let mut shown = 0;
    for (dashboard, panel, query) in &queries {
        let remark = EMPTY_WHEN_WELL.iter().find(|(empty, _)| empty == panel);
        let query = match remark {
            Some((_, compared)) => {
                // It must be right, and it is what it compares that is there.
                prometheus.query(query).await.unwrap();
                query.strip_suffix(compared).unwrap()
            }
            None => query,
        };
        let what = format!("`{panel}` of `{dashboard}`: {query}");
        let series = wait_for(&what, PATIENCE, || async {
            let series = prometheus.query(query).await.map_err(|error| format!("{error:#}"))?;
            if series.is_empty() { Err("no series".to_owned()) } else { Ok(series.len()) }
        })
        .await;
        println!("{series:>3} series: {what}");
        shown += 1;
    }
    println!("{shown} queries have answers");
}
