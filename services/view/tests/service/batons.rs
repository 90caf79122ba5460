//! Goal: the view says what waits where, and for how long.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, requested},
};
use contracts::{Status, Timestamp};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn open_orders_wait_with_the_holder_of_their_baton_and_the_oldest_has_a_name() {
    let mut view = Instance::start("batons").await;
    let none = view.get("/batons").await;
    assert_eq!(none, json!({ "late_after_ms": 5000, "batons": [] }));

    // Two wait for orders, one for payments, and one has ended.
    let mut story = vec![requested(2), requested(1)];
    story.extend(confirmed_story(3).into_iter().take(2));
    story.extend(confirmed_story(4));
    view.feed(&story);
    let found = wait_for("the orders to wait", PATIENCE, || async {
        let found = view.get("/batons").await;
        if found["batons"] == json!([]) { Err(found) } else { Ok(found) }
    });
    let found = found.await;
    let batons = found["batons"].as_array().unwrap();
    let told: Vec<_> = batons
        .iter()
        .map(|b| (&b["status"], &b["holder"], &b["orders"], &b["oldest"]))
        .map(|told| json!(told))
        .collect();
    assert_eq!(
        told,
        [
            json!(["requested", "orders", 2, order_id(1)]),
            json!(["validated", "payments", 1, order_id(3)]),
        ]
    );
    let first = requested(1).occurred_at;
    let waited = batons[0]["waiting_ms"].as_i64().unwrap();
    let most = Timestamp::now().millis() - first.millis();
    assert!((1..=most + 60_000).contains(&waited), "{waited} of {most} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_open_orders_has_those_of_every_status_that_has_a_way_out() {
    let view = Instance::start("batons_index").await;
    let mut connection = PgConnection::connect(view.database_url()).await.unwrap();
    let read = "SELECT indexdef FROM pg_indexes WHERE indexname = 'orders_open'";
    let index: String = sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap();
    for status in Status::ALL {
        let is_named = index.contains(&format!("'{status}'"));
        assert_eq!(is_named, status.is_terminal(), "{status} in {index}");
    }
    // The question goes by it, however many orders have ended.
    let plan = "SET enable_seqscan = off; EXPLAIN (FORMAT json) SELECT order_id FROM orders o
        WHERE o.status NOT IN ('confirmed', 'rejected', 'cancelled', 'refunded')";
    let (set, explain) = plan.split_once("; ").unwrap();
    sqlx::query(set).execute(&mut connection).await.unwrap();
    let plan: Value = sqlx::query_scalar(explain).fetch_one(&mut connection).await.unwrap();
    assert!(plan.to_string().contains("orders_open"), "{plan:#}");
}
