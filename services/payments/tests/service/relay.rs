//! Goal: what payments says comes back on `orders`, or payments sends it again: once the relay has
//! passed it by, after pauses that grow, and without an end.

use crate::shop::{Shop, Worker, apply, tomorrow};
use contracts::Order;
use payments::database::PaymentsDb;
use sqlx::Row;
use std::sync::Arc;
use streams::{Headers, Record, record::names};
use testkit::{PATIENCE, orders::validated, wait_for};

/// A paid order, whose outcome is in the outbox.
async fn paid(shop: &Shop, worker: &Worker) -> Order {
    let order = validated(tomorrow());
    let intake = shop.intake(&worker.work).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    shop.wait_for(&order, "captured").await;
    shop.events(&order).await.remove(0)
}

/// As if so many seconds had passed.
async fn pass(shop: &Shop, seconds: i32) {
    sqlx::query(
        "UPDATE outbox_unreturned SET written_at = written_at - $1 * interval '1 second', \
             sent_at = sent_at - $1 * interval '1 second'",
    )
    .bind(seconds)
    .execute(&shop.pool)
    .await
    .unwrap();
}

async fn resent(shop: &Shop) -> u64 {
    shop.postgres.clone().resend(10).await.unwrap()
}

/// The record that a relay makes of what payments says.
fn returned(shop: &Shop, order: &Order) -> Record {
    let mut headers = Headers::default();
    headers.push(names::SOURCE, "payments");
    Record { headers, ..shop.record(order) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_has_passed_by_is_sent_again_until_it_comes_back() {
    let shop = Shop::open().await;
    let slot = "SELECT count(pg_create_logical_replication_slot('outbox', 'pgoutput'))";
    let advance =
        "SELECT count(pg_replication_slot_advance('outbox', pg_current_wal_insert_lsn()))";
    let worker = shop.worker();
    let order = paid(&shop, &worker).await;
    let content = "SELECT md5(string_agg(outbox::text, '')) FROM outbox";
    let row = |sql: &'static str| sqlx::query(sql).fetch_one(&shop.pool);
    let before: String = row(content).await.unwrap().get(0);
    let place: String = row("SELECT xmin::text FROM outbox").await.unwrap().get(0);

    pass(&shop, 31).await;
    assert_eq!(resent(&shop).await, 0, "no relay has its place here");
    assert_eq!(shop.count(slot).await, 1);
    assert_eq!(shop.count(advance).await, 1);
    assert_eq!(resent(&shop).await, 1);
    assert_eq!(resent(&shop).await, 0, "it is on its way once more");
    let after: String = row(content).await.unwrap().get(0);
    assert_eq!(after, before, "it says the same under the same id");
    let new_place: String = row("SELECT xmin::text FROM outbox").await.unwrap().get(0);
    assert_ne!(new_place, place, "it is in the log of the database once more");

    pass(&shop, 59).await;
    assert_eq!(shop.count(advance).await, 1);
    assert_eq!(resent(&shop).await, 0, "the pauses grow");
    pass(&shop, 2).await;
    assert_eq!(resent(&shop).await, 1);
    pass(&shop, 600).await;
    assert_eq!(resent(&shop).await, 0, "the relay has not come so far");
    assert_eq!(shop.count(advance).await, 1);
    assert_eq!(resent(&shop).await, 1);

    let problem = || async {
        let details = worker.health.details();
        let told = details.iter().any(|told| told.contains("have not come back on `orders`: 1,"));
        if told && worker.health.is_ready() { Ok(()) } else { Err(details) }
    };
    wait_for("the health to tell it", PATIENCE, problem).await;
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[returned(&shop, &order)]).unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM outbox_unreturned").await, 0);
    let well = || async {
        let details = worker.health.details();
        if details.is_empty() { Ok(()) } else { Err(details) }
    };
    wait_for("the health to be well", PATIENCE, well).await;
    assert_eq!(resent(&shop).await, 0);
    shop.count("SELECT count(pg_drop_replication_slot('outbox'))").await;
}
