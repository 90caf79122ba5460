//! The lean views of a whole shop: each is rebuilt while orders pass and readers look, and dropped
//! and rebuilt; what it shows is the fold of the log as before.

use crate::support::alone;
use client::{Shop, order_body};
use contracts::OrderId;
use e2e_tests::{Outside, PATIENCE, Traffic, audit};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const VIEWS: [&str; 8] = [
    "orders",
    "refusals",
    "versions",
    "timeline",
    "customer-orders",
    "products",
    "customers",
    "sales",
];

/// Every row of the views.
async fn rows(shop: &Shop) -> Vec<(String, String)> {
    const DUMP: &str = "
        SELECT 'orders', to_jsonb(t)::text FROM orders AS t
        UNION ALL SELECT 'timeline', to_jsonb(t)::text FROM timeline AS t
        UNION ALL SELECT 'customer_orders', to_jsonb(t)::text FROM customer_orders AS t
        UNION ALL SELECT 'products', to_jsonb(t)::text FROM products AS t
        UNION ALL SELECT 'order_versions', to_jsonb(t)::text FROM order_versions AS t
        UNION ALL SELECT 'customers', to_jsonb(t)::text FROM customers AS t
        UNION ALL SELECT 'stock', to_jsonb(t)::text FROM stock AS t
        UNION ALL SELECT 'sales', to_jsonb(t)::text FROM sales AS t
        UNION ALL SELECT 'refusals', to_jsonb(t)::text FROM refusals AS t
        ORDER BY 1, 2";
    let mut connection = PgConnection::connect(shop.url("postgres.view")).await.unwrap();
    sqlx::query_as(DUMP).fetch_all(&mut connection).await.unwrap()
}

/// Reads until `stop`: each answer is 200, and no version goes back.
async fn read_on(shop: Outside, orders: Vec<OrderId>, stop: Arc<AtomicBool>) -> usize {
    let mut seen: BTreeMap<String, i64> = BTreeMap::new();
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let of =
            |order: &OrderId| [format!("/orders/{order}"), format!("/orders/{order}/timeline")];
        let paths = orders.iter().flat_map(of);
        let others = ["/sales", "/products/TEA", "/customers", "/customers/ada/orders"];
        for path in paths.chain(others.map(str::to_owned)) {
            let answer = shop.get("view", &path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let (body, transitions) = (&answer.body, &answer.body["transitions"]);
            let sold = &body["sales"][0]["orders"];
            let number = transitions.as_array().map(|all| all.len() as i64);
            let version = body["version"].as_i64().or(number).or(sold.as_i64()).unwrap_or(0);
            let before = seen.insert(path.clone(), version).unwrap_or(0);
            assert!(before <= version, "{path} goes back from {before}: {body}");
            reads += 1;
        }
    }
    reads
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_rebuilt_while_orders_pass() {
    let shop = alone().await;
    let mut known = Vec::new();
    for customer in ["ada", "declan"] {
        known.push(shop.place(customer, &[("TEA", 1), ("MUG", 1)]).await.unwrap());
    }
    // One of these is refused, and the view shows it.
    shop.send(shop.post("orders", "/orders", &order_body("ada", &[("NOPE", 1)]))).await.unwrap();
    for order in &known {
        shop.settled(*order).await.unwrap();
    }
    let traffic = Traffic::start(&shop, "TEA", 300, 20);
    let stop = Arc::new(AtomicBool::new(false));
    let outside = Outside::new(shop.shop());
    let reader = tokio::spawn(read_on(outside, known, Arc::clone(&stop)));
    for name in VIEWS {
        // Its database is busy with all of this, and the view may ask to come again.
        let told = testkit::wait_for("the rebuild of a view", PATIENCE, || async {
            let (content, told) = shop.cli(&["view", "rebuild", name]).await.unwrap();
            assert!(content || told.contains("is away"), "{name}: {told}");
            if content { Ok(told) } else { Err(told) }
        })
        .await;
        assert!(told.contains("rebuilt at"), "{name}: {told}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    // One that is asked for as the service dies is done by its successor.
    shop.cli(&["view", "rebuild", "timeline", "--no-wait"]).await.unwrap();
    shop.shop().kill("view", true).await.unwrap();
    testkit::wait_for("the rebuild by the next view", PATIENCE, || async {
        let answer = shop.get("view", "/views/timeline").await.map_err(|e| e.to_string())?;
        let done = answer.status == 200 && answer.body["rebuild"].is_null();
        if done { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
    let placed = traffic.finish().await.unwrap();
    let verdict = audit(&shop, &placed).await.unwrap();
    assert!(verdict.is_clean(), "{verdict}");

    // At rest: what was rebuilt under traffic is what is rebuilt now, row by row.
    let live = rows(shop.shop()).await;
    let (content, told) = shop.cli(&["view", "rebuild", "all"]).await.unwrap();
    assert!(content, "{told}");
    assert_eq!(rows(shop.shop()).await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_dropped_and_rebuilt_by_hand() {
    let shop = alone().await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.settled(order).await.unwrap();
    let (content, told) = shop.cli(&["view", "drop", "customer-orders"]).await.unwrap();
    assert!(content && told.contains("shop view rebuild customer-orders"), "{told}");
    let answer = shop.get("view", "/customers/ada/orders").await.unwrap();
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(answer.status == 503 && detail.contains("./shop view rebuild customer-orders"));
    let (_, told) = shop.cli(&["view", "list"]).await.unwrap();
    assert!(told.lines().any(|line| line.starts_with("customer-orders dropped")), "{told}");
    // Orders pass without it.
    let next = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.settled(next).await.unwrap();
    assert_eq!(shop.order(order).await.unwrap().status, 200);
    let (content, told) = shop.cli(&["view", "rebuild", "customer-orders"]).await.unwrap();
    assert!(content, "{told}");
    testkit::wait_for("ada's orders", PATIENCE, || async {
        let answer = shop.get("view", "/customers/ada/orders").await.unwrap();
        let listed = answer.body["orders"].as_array().map_or(0, Vec::len);
        if listed >= 2 { Ok(()) } else { Err::<(), Value>(answer.body) }
    })
    .await;
    let (content, told) = shop.cli(&["view", "rebuild", "customer_orders"]).await.unwrap();
    assert!(!content && told.contains("there are orders, refusals"), "{told}");
}
