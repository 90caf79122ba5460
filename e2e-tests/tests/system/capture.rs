//! Change data capture that loses something: `shop status` and the health of the services say so
//! within a minute, and after the way out that they name, nothing is missing.

use crate::support::alone;
use e2e_tests::{Outside, PATIENCE};
use serde_json::Value;
use std::time::Duration;
use testkit::wait_for;

/// How soon a fault must be told.
const MINUTE: Duration = Duration::from_secs(60);

/// Until `shop status` says all of these.
async fn told(shop: &Outside, texts: &[&str]) {
    wait_for("the status to tell it", MINUTE, || async {
        let (_, told) = shop.cli(&["status"]).await.map_err(|error| format!("{error:#}"))?;
        if texts.iter().all(|text| told.contains(text)) { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Until `shop cdc status` finds nothing.
async fn well(shop: &Outside) {
    wait_for("the capture to be well", PATIENCE, || async {
        let (well, told) =
            shop.cli(&["cdc", "status"]).await.map_err(|error| format!("{error:#}"))?;
        if well { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Until the check `name` of `service` is as `status` says, while the service stays ready.
async fn check_is(shop: &Outside, service: &str, name: &str, status: &str) {
    wait_for(&format!("{service}'s check {name} to be {status}"), MINUTE, || async {
        let answer = shop.get(service, "/health/ready").await.unwrap();
        assert!(answer.status.is_success(), "{answer:?}");
        let checks = answer.body["checks"].as_array().cloned().unwrap_or_default();
        let is = |check: &Value| check["name"] == name && check["status"] == status;
        if checks.iter().any(is) { Ok(()) } else { Err(answer) }
    })
    .await;
}

async fn confirmed(shop: &Outside) {
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    assert_eq!(shop.settled(order).await.unwrap()["status"], "confirmed");
}

/// A connector whose task dies at each record of a table, and is started again each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_fails_again_and_again_is_well_nowhere() {
    let shop = alone().await;
    let settings = shop.get("connect", "/connectors/catalog/config").await.unwrap().body;
    let mut wrong = settings.clone();
    wrong["transforms.sku.field"] = "no_such_column".into();
    shop.configure("catalog", &wrong).await.unwrap();
    let price =
        |minor: i64| format!("UPDATE products SET price_minor = {minor} WHERE sku = 'BINOC'");
    // Its task is replaced in its own time: until then the one before carries the row.
    wait_for("the connector to fail", MINUTE, || async {
        shop.sql("catalog", &price(9_990)).await.map_err(|error| format!("{error:#}"))?;
        let status = shop.get("connect", "/connectors/catalog/status").await;
        let status = status.map_err(|error| format!("{error:#}"))?.body;
        if status.to_string().contains("FAILED") { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    shop.sql("catalog", &price(9_980)).await.unwrap();
    told(&shop, &["catalog: it failed ", "no_such_column", "catalog.products: rows and records"])
        .await;
    for service in ["orders", "inventory", "view"] {
        check_is(&shop, service, "catalog.capture", "degraded").await;
    }
    told(&shop, &["degraded", "orders: catalog.capture is degraded"]).await;
    confirmed(&shop).await;
    // The way out: mend the cause. It is started again by itself, and nothing is missing.
    shop.configure("catalog", &settings).await.unwrap();
    for service in ["orders", "inventory", "view"] {
        check_is(&shop, service, "catalog.capture", "up").await;
    }
    wait_for("the price", PATIENCE, || async {
        let binoc = shop.product("BINOC").await.map_err(|error| format!("{error:#}"))?;
        if binoc["price"]["amount_minor"] == 9_980 { Ok(()) } else { Err(binoc.to_string()) }
    })
    .await;
    shop.sql("catalog", &price(12_900)).await.unwrap();
    well(&shop).await;
    confirmed(&shop).await;
    let (clean, report) = shop.cli(&["audit", "--wait"]).await.unwrap();
    assert!(clean, "{report}");
}
