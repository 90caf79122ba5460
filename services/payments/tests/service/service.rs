//! Goal: the whole service answers over HTTP while what it needs is away, and says what it waits
//! for.

use crate::shop::{Shop, apply, now, tomorrow};
use axum::{Json, Router};
use clap::Parser;
use contracts::{ServiceName, metrics::strangers};
use payments::{config::Config, service};
use serde_json::{Value, json};
use service_kit::Shutdown;
use std::sync::Arc;
use testkit::{PATIENCE, orders::validated, wait_for};
use tokio::net::TcpListener;

async fn get(url: &str) -> (u16, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_can_be_read_and_health_says_what_is_missing() {
    let shop = Shop::open().await;
    let order = validated(tomorrow());
    let worker = shop.worker();
    let intake = shop.intake(&worker.work).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    shop.wait_for(&order, "captured").await;
    worker.stop().await;

    // No process listens on port 1: neither the registry nor Kafka is there.
    let mut config = Config::parse_from([
        "payments",
        "--http-addr=127.0.0.1:0",
        "--kafka-bootstrap=127.0.0.1:1",
        "--schema-registry-url=http://127.0.0.1:1",
    ]);
    config.database_url = shop.database.clone();
    let shutdown = Shutdown::new();
    let running = service::start(&config, shutdown.clone()).await.unwrap();
    let url = format!("http://{}", running.local_addr());

    let (status, payment) = get(&format!("{url}/payments/{}", order.order_id)).await;
    assert_eq!((status, &payment["status"]), (200, &json!("captured")), "{payment}");
    assert_eq!(payment["entries"][0]["amount_minor"], 1300, "{payment}");
    let (_, balance) = get(&format!("{url}/ledger/balance")).await;
    assert_eq!(balance["payments"]["captured"], 1, "{balance}");
    assert_eq!(balance["accounts"][0]["balance_minor"], 1300, "{balance}");
    let (status, problem) = get(&format!("{url}/payments/{}", validated(now()).order_id)).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    assert_eq!(get(&format!("{url}/payments/seven")).await.0, 400);
    assert_eq!(get(&format!("{url}/openapi.json")).await.0, 200);
    wait_for("health to name the registry", PATIENCE, || async {
        let (status, health) = get(&format!("{url}/health/ready")).await;
        let named = health.to_string().contains("waiting for the schema registry");
        if status == 503 && named { Ok(()) } else { Err(health) }
    })
    .await;
    assert_eq!(get(&format!("{url}/health/live")).await.0, 200);
    let text = testkit::metrics(running.local_addr());
    assert_eq!(strangers(ServiceName::Payments, &text), Vec::<String>::new());
    let answered = "http_server_request_duration_seconds_count{http_request_method=\"GET\",\
        http_response_status_code=\"200\",http_route=\"/payments/{order_id}\"}";
    assert_eq!(testkit::metric(&text, answered), Some(1.0), "{text}");
    assert_eq!(testkit::metric(&text, "service_check_state{check=\"database\"}"), Some(2.0));
    shutdown.cancel();
    running.stopped().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_together_make_the_tables_once() {
    let shop = Shop::open().await;
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .execute(&shop.pool)
        .await
        .unwrap();
    let migrations: Vec<_> = (0..4)
        .map(|_| {
            let database = shop.postgres.clone();
            tokio::spawn(async move { database.migrate().await })
        })
        .collect();
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    assert_eq!(shop.count("SELECT count(*) FROM payments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_nothing_is_decided_and_each_part_that_waits_is_a_check() {
    let shop = Shop::open().await;
    let order = validated(tomorrow());
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    // A registry that knows every schema.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().fallback(async || Json(json!({"id": 1})));
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });

    let mut config = Config::parse_from([
        "payments",
        "--http-addr=127.0.0.1:0",
        "--kafka-bootstrap=127.0.0.1:1",
        &format!("--schema-registry-url={registry}"),
        &format!("--bank-url={}", shop.bank.url),
    ]);
    config.database_url = shop.database.clone();
    let shutdown = Shutdown::new();
    let running = service::start(&config, shutdown.clone()).await.unwrap();
    let url = format!("http://{}", running.local_addr());
    // Deadlines are judged by the log's time, and ids of schemas by the log: both are Kafka's.
    wait_for("what waits for Kafka to say so", PATIENCE, || async {
        let (_, health) = get(&format!("{url}/health/ready")).await;
        let waits = |name: &str, words: &str| {
            let mut checks = health["checks"].as_array().unwrap().iter();
            let check = checks.find(|check| check["name"] == name).unwrap();
            check["status"] == "down" && check["detail"].as_str().unwrap().contains(words)
        };
        let all = waits("clock", "the log's time is not known")
            && waits("schemas", "cannot be compared with the log")
            && waits("start-up", "waiting for the database, the schemas and the log's time");
        if all { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    shop.wait_for(&order, "intent").await;
    shutdown.cancel();
    running.stopped().await.unwrap();
}
