//! Clocks of single processes that are wrong by minutes, or by a day: no customer notices, and
//! health names the process. The shop is of debug builds, which take `CLOCK_SHIFT_MS`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use auditor::audit;
use client::{Shop, StartOptions};
use e2e_tests::{Outside, PATIENCE, unhurried};
use evidence::audit_at_rest;
use serde_json::{Value, json};
use testkit::wait_for;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn start() -> Outside {
    let options = unhurried(StartOptions::default());
    let shop = Shop::start(options).await.expect("the shop starts");
    // It ends with the process.
    Outside::new(Box::leak(Box::new(shop)))
}

/// Start `service` again on a host whose clock is so far ahead, or behind, with further settings.
async fn shifted(shop: &Outside, service: &str, shift_ms: i64, env: &[(&str, &str)]) {
    shop.shop().stop(service).await.unwrap();
    let shift_ms = shift_ms.to_string();
    let env = [&[("CLOCK_SHIFT_MS", shift_ms.as_str())], env].concat();
    shop.shop().start_process_with(service, &env).await.unwrap();
}

/// The check `clock` of `service`, once its status is `status`.
async fn clock(shop: &Outside, service: &str, status: &str) -> Value {
    wait_for(&format!("the clock of {service} to be {status}"), PATIENCE, || async {
        let answer = shop.get(service, "/health/ready").await.map_err(|e| json!(e.to_string()))?;
        let checks = answer.body["checks"].as_array().cloned().unwrap_or_default();
        let clock = checks.into_iter().find(|check| check["name"] == "clock");
        clock.filter(|clock| clock["status"] == status).ok_or(answer.body)
    })
    .await
}

async fn confirmed(shop: &Outside) {
    // Kafka may be back for just a moment.
    let order = shop.place_at_last("ada", &[("TEA", 1)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "confirmed", "{settled:#}");
}

/// How far the view says that it is behind, in milliseconds.
async fn staleness_ms(shop: &Outside) -> u64 {
    let response = reqwest::get(shop.at("view", "/products")).await.unwrap();
    let header = response.headers().get("view-staleness-ms");
    header.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// A view that hears nothing from Kafka says so.
async fn is_stale_without_kafka(shop: &Outside) {
    wait_for("the view to be up to date", PATIENCE, || async {
        let behind_ms = staleness_ms(shop).await;
        if behind_ms < 3_000 { Ok(()) } else { Err(behind_ms) }
    })
    .await;
    shop.shop().pause("kafka").await.unwrap();
    wait_for("the view to grow stale", PATIENCE, || async {
        let behind_ms = staleness_ms(shop).await;
        if behind_ms >= 6_000 { Ok(()) } else { Err(behind_ms) }
    })
    .await;
    shop.shop().resume("kafka").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_costs_no_customer_an_order_and_health_names_it() {
    let shop = start().await;
    clock(&shop, "payments", "up").await;

    shifted(&shop, "payments", 90_000, &[]).await;
    let said = clock(&shop, "payments", "degraded").await;
    assert!(said["detail"].as_str().unwrap().contains("s ahead of Kafka's"), "{said}");
    confirmed(&shop).await;

    shifted(&shop, "orders", -90_000, &[]).await;
    let said = clock(&shop, "orders", "degraded").await;
    assert!(said["detail"].as_str().unwrap().contains("s behind Kafka's"), "{said}");
    confirmed(&shop).await;

    for service in ["inventory", "email"] {
        shifted(&shop, service, DAY_MS, &[]).await;
    }
    shifted(&shop, "view", DAY_MS, &[]).await;
    clock(&shop, "view", "degraded").await;
    confirmed(&shop).await;
    is_stale_without_kafka(&shop).await;

    // After a day that was not, as with any other clock.
    shifted(&shop, "view", 0, &[]).await;
    clock(&shop, "view", "up").await;
    is_stale_without_kafka(&shop).await;
    confirmed(&shop).await;

    // And a deadline is still one.
    shifted(&shop, "orders", -90_000, &[("ORDER_DEADLINE_MS", "4000")]).await;
    shop.bank_faults(&json!({ "timeout_rate": 1.0 })).await.unwrap();
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "cancelled", "{settled:#}");
    assert_eq!(settled["reasons"][0]["code"], "deadline", "{settled:#}");
    shop.bank_faults(&json!({})).await.unwrap();

    let verdict = audit_at_rest(shop.shop().state(), PATIENCE, PATIENCE, audit).await.unwrap();
    assert!(verdict.is_clean() && verdict.pending() == 0, "{verdict}");
}
