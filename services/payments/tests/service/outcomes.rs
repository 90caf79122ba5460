//! Goal: every way in which a charge, a void or a refund can go ends as it must.

use crate::{
    bank::{Fault, Held},
    shop::{Shop, Worker, apply, in_millis, now, statuses, tomorrow},
};
use contracts::{Order, Status, Timestamp};
use service_kit::{Health, Shutdown};
use std::sync::Arc;
use streams::Outage;
use testkit::{
    PATIENCE,
    orders::{cancelled, validated},
    wait_for,
};

/// Time enough to read an order and to call the bank, also on a busy machine.
const SHORT_MS: u64 = 2_500;

/// A shop, an order with this deadline, counted from when the shop is open, and its key.
async fn given(deadline: impl Fn() -> Timestamp) -> (Shop, Order, String) {
    let shop = Shop::open().await;
    let order = validated(deadline());
    let key = order.order_id.to_string();
    (shop, order, key)
}

async fn read(shop: &Shop, worker: &Worker, order: &Order) {
    let intake = shop.intake(&worker.work).await;
    apply(&intake, &[shop.record(order)]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validated_order_is_captured_and_the_story_goes_on() {
    let (shop, order, key) = given(tomorrow).await;
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    let report = shop.wait_for(&order, "captured").await;
    assert_eq!(report.reference, Some(format!("ch_{key}")));
    assert_eq!(shop.entries(&order).await, ["capture bank 1300", "capture sales -1300"]);

    let events = shop.events(&order).await;
    assert_eq!(statuses(&events), [Status::Paid]);
    assert!(events[0].follows(Some(&order)).unwrap(), "{events:?}");
    let headers: (String, String, String, String, String, String, String) = sqlx::query_as(
        "SELECT ce_type, ce_source, ce_subject, causationid, correlationid, lineage, traceparent \
         FROM outbox",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    assert_eq!((&*headers.0, &*headers.1, &*headers.2), ("PaymentReceived", "payments", &*key));
    assert_eq!((&*headers.3, &*headers.4), ("orders/0/0", "story-1"));
    assert!(headers.5.starts_with("orders@0.0.1 > payments@"), "{}", headers.5);
    assert!(headers.6.contains("0af7651916cd43dd8448eb211c80319c"), "{}", headers.6);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_and_captures_once() {
    let (shop, order, key) = given(tomorrow).await;
    shop.bank.fail("charge", &key, Fault::AnswerLost, Some(2));
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "captured").await;
    assert_eq!(shop.bank.requests(&key), ["charge", "charge", "charge"]);
    assert_eq!(shop.bank.statement(&key), ["capture"]);
    assert_eq!(statuses(&shop.events(&order).await), [Status::Paid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_not_read_to_its_end_and_is_none() {
    let (shop, order, key) = given(tomorrow).await;
    shop.bank.fail("charge", &key, Fault::LongAnswer, Some(1));
    let mut supervisor = shop.patient_supervisor();
    let intake = shop.intake(&Arc::default()).await;
    apply(&intake, &[shop.record(&order)]).unwrap();
    supervisor.step().await.unwrap();
    let (health, shutdown) = (Health::new(), Shutdown::new());
    shutdown.cancel();
    supervisor.run(health.check("database"), Outage::new("Postgres"), shutdown).await;
    let report = shop.report(&order).await.unwrap();
    let error = report.last_error.unwrap();
    assert!(error.contains("longer than 65536 bytes"), "{error}");
    assert_eq!(report.status, "intent");
    let _worker = shop.worker();
    shop.wait_for(&order, "captured").await;
    assert_eq!(shop.bank.statement(&key), ["capture"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_says_why_and_books_nothing() {
    let (shop, order, key) = given(tomorrow).await;
    shop.bank.decline(&key);
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "declined").await;
    let events = shop.events(&order).await;
    assert_eq!(statuses(&events), [Status::PaymentDeclined]);
    assert_eq!(events[0].reasons.last().unwrap().code, "amount_rule");
    assert_eq!(shop.entries(&order).await, [""; 0]);
    assert_eq!(shop.bank.requests(&key), ["charge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_until_the_deadline_is_a_decline_and_the_key_is_voided() {
    let (shop, order, key) = given(|| in_millis(SHORT_MS)).await;
    shop.bank.fail("charge", &key, Fault::RequestLost, None);
    shop.bank.fail("void", &key, Fault::Failed, Some(2));
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "declined").await;
    let events = shop.events(&order).await;
    assert_eq!(statuses(&events), [Status::PaymentDeclined]);
    assert_eq!(events[0].reasons.last().unwrap().code, "deadline");
    assert!(events[0].occurred_at >= order.deadline);
    let requests = shop.bank.requests(&key);
    assert_eq!(requests.iter().filter(|kind| *kind == "void").count(), 3, "{requests:?}");
    assert_eq!(shop.bank.held(&key), Some(Held::Voided));
    assert_eq!(shop.bank.statement(&key), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_nobody_heard_of_by_the_deadline_is_voided() {
    let (shop, order, key) = given(|| in_millis(SHORT_MS)).await;
    shop.bank.fail("charge", &key, Fault::AnswerLost, None);
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "declined").await;
    assert_eq!(statuses(&shop.events(&order).await), [Status::PaymentDeclined]);
    assert_eq!(shop.bank.statement(&key), ["capture", "void"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_comes_too_late_is_declined_without_the_bank() {
    let (shop, order, key) = given(now).await;
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "declined").await;
    let events = shop.events(&order).await;
    assert_eq!(events[0].reasons.last().unwrap().code, "deadline");
    assert_eq!(shop.bank.requests(&key), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_made_and_told_once() {
    let (shop, order, key) = given(tomorrow).await;
    shop.bank.fail("refund", &key, Fault::AnswerLost, Some(1));
    let worker = shop.worker();
    read(&shop, &worker, &order).await;
    shop.wait_for(&order, "captured").await;
    let paid = shop.events(&order).await.remove(0);
    let refund_due = cancelled(&paid);
    read(&shop, &worker, &refund_due).await;
    read(&shop, &worker, &refund_due).await;
    shop.wait_for(&order, "refunded").await;
    let events = shop.events(&order).await;
    assert_eq!(statuses(&events), [Status::Paid, Status::Refunded]);
    assert_eq!(events[1].version, 5);
    assert_eq!(shop.bank.statement(&key), ["capture", "refund"]);
    let expected =
        ["capture bank 1300", "capture sales -1300", "refund bank -1300", "refund sales 1300"];
    assert_eq!(shop.entries(&order).await, expected);
    read(&shop, &worker, &refund_due).await;
    assert_eq!(shop.events(&order).await.len(), 2, "it is refunded already");
}

/// The bank does not answer for one order, and health says so.
async fn stuck() -> (Shop, Order, String, Worker) {
    let (shop, stuck, key) = given(tomorrow).await;
    shop.bank.fail("charge", &key, Fault::RequestLost, None);
    let worker = shop.worker();
    read(&shop, &worker, &stuck).await;
    let reported = || async { if worker.health.is_ready() { Err("ready") } else { Ok(()) } };
    wait_for("the bank to be reported", PATIENCE, reported).await;
    (shop, stuck, key, worker)
}

/// Another instance may have taken the call over, and had its answer.
#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_left_to_ask_nothing_is_known_against_the_bank() {
    let (shop, _, key, worker) = stuck().await;
    wait_for("the bank to be well again", PATIENCE, || async {
        let over = "UPDATE payments SET status = 'declined', due_at = NULL, lease_token = NULL
            WHERE status = 'intent'";
        sqlx::query(over).execute(&shop.pool).await.map_err(|error| error.to_string())?;
        if worker.health.is_ready() { Ok(()) } else { Err("not ready".to_owned()) }
    })
    .await;
    assert!(shop.bank.statement(&key).is_empty(), "the bank has not answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_hangs_for_some_holds_up_no_other_and_is_reported() {
    let (shop, stuck, _, worker) = stuck().await;
    let other = validated(tomorrow());
    read(&shop, &worker, &other).await;
    shop.wait_for(&other, "captured").await;
    assert_eq!(shop.report(&stuck).await.unwrap().status, "intent");
    shop.bank.recover();
    shop.wait_for(&stuck, "captured").await;
    let recovered = || async { if worker.health.is_ready() { Ok(()) } else { Err("not ready") } };
    wait_for("the bank to be well again", PATIENCE, recovered).await;
}
