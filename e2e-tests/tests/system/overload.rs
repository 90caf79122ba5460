//! Past what the shop can do, orders are refused and told when to come again; what was accepted
//! ends as it should, and the shop is well again by itself. A service that is away is no overload.

use crate::{capture::check_is, support::alone};
use client::NotNow;
use e2e_tests::{Outside, PATIENCE, Traffic, all_confirmed};
use serde_json::{Value, json};
use std::time::Instant;
use testkit::metric;

/// Orders that refuses sooner than by default, so that a small load is too much.
const NARROW: [(&str, &str); 2] = [("OVERLOAD_WAIT_MS", "1500"), ("OVERLOAD_OPEN_MIN", "20")];

async fn narrow(shop: &Outside) {
    shop.shop().stop("orders").await.unwrap();
    shop.shop().start_process_with("orders", &NARROW).await.unwrap();
}

/// Until the check of orders that says whether it refuses is as `status` says.
async fn until_admission_is(shop: &Outside, status: &str) -> Value {
    check_is(shop, "orders", "admission", status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_slow_bank_orders_are_refused_for_now_and_all_end_well() {
    let shop = alone().await;
    narrow(&shop).await;
    // 32 calls at a time, and so 40 orders in a second.
    shop.bank_faults(&json!({ "latency_ms": { "min": 800, "max": 800 } })).await.unwrap();
    let traffic = Traffic::start(&shop, "TEA", 640, 80);
    let refusals = traffic.not_now();

    let check = until_admission_is(&shop, "degraded").await;
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains("new orders are refused"), "{check}");
    let known = shop.place("ada", &[("TEA", 1)]).await;
    if let Err(refused) = &known {
        assert!(format!("{refused:#}").contains("overloaded"), "{refused:#}");
    }
    let nonsense = contracts::OrderId(uuid::Uuid::now_v7());
    let cancellation = shop.cancel(nonsense).await.unwrap();
    assert_eq!(cancellation.status, 202, "a cancellation passes: {cancellation:?}");
    let question = shop.get("view", "/products").await.unwrap();
    assert_eq!(question.status, 200, "questions are answered: {question:?}");
    let metrics = shop.text("orders", "/metrics").await.unwrap();
    assert!(metrics.contains("orders_edge_refused_total{"), "{metrics}");

    let placed = traffic.finish().await.unwrap();
    let refused = refusals.seen();
    let is_silent =
        |why: &&NotNow| matches!(why, NotNow::Busy { retry_after_s: None | Some(0), .. });
    assert!(!refused.is_empty());
    let silent: Vec<_> = refused.iter().filter(is_silent).collect();
    assert!(silent.is_empty(), "each is told when to come again: {silent:?}");

    // The load is over, and so is the slow day.
    shop.bank_faults(&json!({})).await.unwrap();
    let ended = Instant::now();
    until_admission_is(&shop, "up").await;
    not_crowded(&shop).await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    let took = ended.elapsed();
    println!("{} times an order was refused first; well again after {took:?}", refused.len());

    all_confirmed(&shop, &placed).await.unwrap();
    shop.shop().restart("orders").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_payments_no_order_is_refused() {
    let shop = alone().await;
    not_crowded(&shop).await;
    let before = refused_behind_payments(&shop).await;
    shop.shop().stop("payments").await.unwrap();
    // Ten seconds, and twice as many as may wait for a step that is crowded.
    let traffic = Traffic::start(&shop, "TEA", 200, 20);
    let placed = traffic.finish().await.unwrap();
    // A slow machine may be late with another step; behind payments, which is away, none is
    // refused.
    let refused = refused_behind_payments(&shop).await - before;
    assert_eq!(refused, 0.0, "they wait for payments, and are not refused");
    shop.shop().start_process("payments").await.unwrap();
    all_confirmed(&shop, &placed).await.unwrap();
}

/// How many, since orders has begun. The shop of other tests may have refused some before.
async fn refused_behind_payments(shop: &Outside) -> f64 {
    let metrics = shop.text("orders", "/metrics").await.unwrap();
    metric(&metrics, r#"orders_edge_refused_total{behind="paid"}"#).expect("it is counted from 0")
}

/// No step is crowded by the traffic before: behind one that is, orders are refused for some
/// seconds more, even if it stops.
async fn not_crowded(shop: &Outside) {
    testkit::wait_for("no crowd before any step", PATIENCE, || async {
        let metrics = shop.text("orders", "/metrics").await.unwrap();
        let limit = metrics.lines().find(|line| line.starts_with("orders_edge_limit{"));
        limit.map_or(Ok(()), |limit| Err(limit.to_owned()))
    })
    .await;
}
