//! Goal: a crash at any step, a zombie and a database that goes away lose nothing and count
//! nothing twice.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, requested},
};
use serde_json::json;
use std::sync::Arc;
use streams::{Failure, Record};
use testkit::{PATIENCE, postgres::Postgres, wait_for};

/// Until `/health/ready` answers with `status`, and with `detail` in its body.
async fn until_ready(view: &Instance, status: u16, detail: &str) {
    wait_for("the check to tell what is so", PATIENCE, || async {
        let response = view.ask("/health/ready").await;
        let (found, body) = (response.status(), response.text().await.unwrap());
        if found == status && body.contains(detail) { Ok(()) } else { Err((found, body)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_between_postgres_and_kafka_the_announcement_still_comes() {
    let mut first = Instance::start("crash").await;
    let story = confirmed_story(1);
    let records = first.records(&story);
    first.batch(&records[..2]);
    // Written, and never committed to Kafka: the answer, with the announcements, is lost.
    drop(first.batch(&records[2..]));
    let tables = first.rows().await;

    let mut restarted = first.another().await;
    let sent = restarted.batch(&records[2..]);
    assert_eq!(sent.versions(), [3, 4]);
    assert_eq!(restarted.rows().await, tables, "nothing was shown twice");
    let sales = restarted.get("/sales").await;
    assert_eq!(sales["sales"][1]["quantity"], 2, "and nothing counted twice: {sales}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_count_a_confirmed_order_exactly_once() {
    let mut view = Instance::start("sales").await;
    let stories: Vec<_> = (1..=3).flat_map(confirmed_story).collect();
    let records = view.records(&stories);
    view.batch(&records);
    view.batch(&records);
    // One that is not confirmed does not count, however far it has come.
    view.feed(&confirmed_story(4)[..3]);
    let sales = view.get("/sales").await;
    let expected = json!([
        {"sku": "MUG", "name": null, "orders": 3, "quantity": 3,
         "revenue": {"amount_minor": 4350, "currency": "EUR"}},
        {"sku": "TEA", "name": null, "orders": 3, "quantity": 6,
         "revenue": {"amount_minor": 5340, "currency": "EUR"}},
    ]);
    assert_eq!(sales["sales"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_beside_its_successor_changes_nothing() {
    const ORDERS: u128 = 40;
    let mut zombie = Instance::start("zombie").await;
    let mut successor = zombie.another().await;
    let view = zombie.another().await;
    let stories: Vec<_> = (1..=ORDERS).flat_map(confirmed_story).collect();
    let records = zombie.records(&stories);
    let same = records.clone();
    let feed = |instance: &mut Instance, records: &[Record], size| {
        for part in records.chunks(size) {
            assert_eq!(instance.batch(part).dead_letters, [""; 0]);
        }
    };
    let both = [
        tokio::spawn(async move { feed(&mut zombie, &records, 7) }),
        tokio::spawn(async move { feed(&mut successor, &same, 11) }),
    ];
    for task in both {
        task.await.unwrap();
    }
    let sales = view.get("/sales").await;
    assert_eq!(sales["sales"][0]["orders"], json!(40), "{sales}");
    let order = view.get(&format!("/orders/{}", order_id(ORDERS))).await;
    assert_eq!(order["version"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_away_is_used_again_when_it_is_back() {
    let postgres = Arc::new(Postgres::start().await.unwrap());
    let mut view = Instance::start_on(Arc::clone(&postgres), "away", 1024).await;
    let story = confirmed_story(1);
    let records = view.records(&story);
    view.batch(&records[..1]);
    let path = format!("/orders/{}", order_id(1));

    postgres.stop().unwrap();
    let failure = view.try_batch(&records[1..]).unwrap_err();
    assert!(matches!(failure, Failure::Retriable(_)), "{failure}");
    assert!(failure.to_string().contains("Postgres at 127.0.0.1"), "{failure}");
    let response = view.ask(&path).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    until_ready(&view, 503, "waiting for Postgres at 127.0.0.1").await;

    postgres.start_again().unwrap();
    until_ready(&view, 200, "").await;
    assert_eq!(view.batch(&records[1..]).versions(), [2, 3, 4]);
    assert_eq!(view.get(&path).await["status"], "confirmed");
    // The listener is back as well: a wait is woken and does not run out.
    let id = order_id(2);
    let wait = tokio::spawn({
        let (client, url) = (view.client.clone(), view.address(&format!("/orders/{id}")));
        async move { client.get(url + "?min_version=1&timeout=60000").send().await.unwrap() }
    });
    wait_for("the reader to wait", PATIENCE, || async {
        if view.waiters.len() == 1 { Ok(()) } else { Err(view.waiters.len()) }
    })
    .await;
    view.feed(&[requested(2)]);
    let woken = tokio::time::timeout(PATIENCE, wait).await;
    let response = woken.expect("the reader was woken").unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("wait-timed-out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_read_only_is_written_again_without_a_restart() {
    const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
    const RESET: &str = "BEGIN READ WRITE;
                         ALTER DATABASE protected RESET default_transaction_read_only; COMMIT";
    let mut view = Instance::start("protected").await;
    let records = view.records(&confirmed_story(1));
    view.batch(&records[..1]);
    until_ready(&view, 200, "").await;

    view.sql("ALTER DATABASE protected SET default_transaction_read_only = on").await;
    view.sql(END).await;
    // The sessions from before are gone; those of now cannot write.
    let failure = view.try_batch(&records[1..]).unwrap_err();
    assert!(matches!(failure, Failure::Retriable(_)), "{failure}");
    until_ready(&view, 503, "the database is read-only").await;
    let order = view.get(&format!("/orders/{}", order_id(1))).await;
    assert_eq!(order["version"], 1, "it can still be read");

    view.sql(RESET).await;
    until_ready(&view, 200, "").await;
    assert_eq!(view.batch(&records[1..]).versions(), [2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_changes_its_type_is_not_noticed_by_readers() {
    let mut view = Instance::start("altered").await;
    let records = view.records(&confirmed_story(1));
    view.batch(&records[..1]);
    let path = format!("/customers/{}/orders", "ada");
    view.get(&path).await;
    view.sql("ALTER TABLE customer_orders ALTER status TYPE varchar(99)").await;
    view.sql("ALTER TABLE orders ALTER order_id TYPE text USING order_id::text").await;
    view.sql("ALTER TABLE orders ALTER order_id TYPE uuid USING order_id::uuid").await;
    assert_eq!(view.get(&path).await["orders"][0]["status"], "requested");
    assert_eq!(view.batch(&records[1..]).versions(), [2, 3, 4]);
    assert_eq!(view.get(&path).await["orders"][0]["status"], "confirmed");
}
