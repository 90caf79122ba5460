//! Goal: instances share the work, crash in the middle of it and are replaced, and each order is
//! still captured and told once.

use crate::{
    bank::Fault,
    shop::{Shop, apply, statuses, tomorrow},
};
use contracts::{Order, Status};
use service_kit::{Health, Shutdown};
use std::sync::Arc;
use streams::Outage;
use testkit::{PATIENCE, orders::validated, postgres::Postgres, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_banks_answer_and_its_commit_is_made_up_for() {
    let (shop, order) = (Shop::open().await, validated(tomorrow()));
    let key = order.order_id.to_string();
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    let mut doomed = shop.supervisor();
    doomed.step().await.unwrap();
    let captured = || async { shop.bank.held(&key).ok_or("not charged yet") };
    wait_for("the bank to capture", PATIENCE, captured).await;
    drop(doomed);
    assert_eq!(shop.report(&order).await.unwrap().status, "intent");

    let _worker = shop.worker();
    shop.end_leases().await;
    shop.wait_for(&order, "captured").await;
    assert_eq!(shop.bank.statement(&key), ["capture"]);
    assert_eq!(statuses(&shop.events(&order).await), [Status::Paid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_after_its_lease_is_dropped() {
    let (shop, order) = (Shop::open().await, validated(tomorrow()));
    let key = order.order_id.to_string();
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    let mut frozen = shop.supervisor();
    frozen.step().await.unwrap();
    let captured = || async { shop.bank.held(&key).ok_or("not charged yet") };
    wait_for("the bank to capture", PATIENCE, captured).await;

    let worker = shop.worker();
    shop.end_leases().await;
    shop.wait_for(&order, "captured").await;
    worker.stop().await;
    let written = "SELECT (extract(epoch FROM max(updated_at)) * 1000000)::bigint FROM payments";
    let before = shop.count(written).await;
    // It thaws and finishes what it had begun.
    let (health, shutdown) = (Health::new(), Shutdown::new());
    shutdown.cancel();
    frozen.run(health.check("database"), Outage::new("Postgres"), shutdown).await;
    assert_eq!(shop.count(written).await, before);
    assert_eq!(statuses(&shop.events(&order).await), [Status::Paid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_the_work_and_call_once_for_each_order() {
    let shop = Shop::open().await;
    let (a, b) = (shop.worker(), shop.worker());
    let intake = shop.intake(&a.work).await;
    let orders: Vec<Order> = (0..60).map(|_| validated(tomorrow())).collect();
    let batch: Vec<_> = orders.iter().map(|order| shop.record(order)).collect();
    apply(&intake, &batch).unwrap();
    b.work.notify_one();
    for order in &orders {
        shop.wait_for(order, "captured").await;
    }
    assert_eq!(shop.bank.request_count(), orders.len());
    assert_eq!(shop.count("SELECT count(DISTINCT aggregateid) FROM outbox").await, 60);
    assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 60);
    assert_eq!(shop.count("SELECT sum(amount_minor)::bigint FROM ledger_entries").await, 0);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_the_answers_that_are_under_way() {
    let (shop, order) = (Shop::open().await, validated(tomorrow()));
    let key = order.order_id.to_string();
    shop.bank.fail("charge", &key, Fault::AnswerLost, Some(1));
    let worker = shop.worker();
    let intake = shop.intake(&worker.work).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    let charged = || async { shop.bank.held(&key).ok_or("not charged yet") };
    wait_for("the bank to be called", PATIENCE, charged).await;
    worker.stop().await;
    let report = shop.report(&order).await.unwrap();
    assert!(report.last_error.is_some(), "the result of the call was written: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_and_comes_back_is_waited_for() {
    let postgres = Arc::new(Postgres::start().await.unwrap());
    let url = postgres.database("payments").await.unwrap();
    let shop = Shop::over(url.parse().unwrap(), Some(Arc::clone(&postgres))).await;
    let worker = shop.worker();
    let intake = shop.intake(&worker.work).await;
    let orders = [validated(tomorrow()), validated(tomorrow())];
    let batch = orders.each_ref().map(|order| shop.record(order));
    apply(&intake, &batch[..1]).unwrap();
    shop.wait_for(&orders[0], "captured").await;

    postgres.stop().unwrap();
    let reported = || async { if worker.health.is_ready() { Err("ready") } else { Ok(()) } };
    wait_for("the outage to be reported", PATIENCE, reported).await;
    assert!(apply(&intake, &batch[1..]).is_err());
    postgres.start_again().unwrap();
    let applied = || async { apply(&intake, &batch[1..]) };
    wait_for("the batch to be taken", PATIENCE, applied).await;
    shop.wait_for(&orders[1], "captured").await;
    let recovered = || async { if worker.health.is_ready() { Ok(()) } else { Err("not ready") } };
    wait_for("the recovery to be reported", PATIENCE, recovered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_leave_the_outbox_when_they_have_come_back() {
    let (shop, order) = (Shop::open().await, validated(tomorrow()));
    let worker = shop.worker();
    let intake = shop.intake(&worker.work).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    shop.wait_for(&order, "captured").await;
    worker.stop().await;
    let age = "UPDATE outbox SET created_at = created_at - interval '1 hour'";
    sqlx::query(age).execute(&shop.pool).await.unwrap();
    shop.supervisor().step().await.unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 1);
    let come_back = "DELETE FROM outbox_unreturned";
    sqlx::query(come_back).execute(&shop.pool).await.unwrap();
    shop.supervisor().step().await.unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_old_rows_than_one_statement_removes_leave_the_outbox_one_after_the_other() {
    let shop = Shop::open().await;
    let many = "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, created_at) \
                SELECT gen_random_uuid(), 'orders', 'old', 'unknown', '', \
                       now() - interval '1 hour' \
                FROM generate_series(1, 10001)";
    sqlx::query(many).execute(&shop.pool).await.unwrap();
    let mut supervisor = shop.supervisor();
    for left in [1, 0] {
        supervisor.step().await.unwrap();
        assert_eq!(shop.count("SELECT count(*) FROM outbox").await, left);
    }
}
