//! The holder of the baton acts on a cancellation, in every status of the order.

use crate::support::{alone, together};
use contracts::OrderId;
use e2e_tests::{Outside, PATIENCE};
use serde_json::{Value, json};

/// Wait until a cancellation of the order was refused; the refusal.
async fn refusal(shop: &Outside, order: OrderId) -> Value {
    testkit::wait_for("the refusal", PATIENCE, || async {
        let answer = shop.order(order).await.unwrap();
        let refusal = answer.body["refusals"][0].clone();
        if refusal.is_object() { Ok(refusal) } else { Err(answer) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_order_is_cancelled_at_once() {
    let shop = alone().await;
    shop.shop().stop("inventory").await.unwrap();
    let order = shop.place("ada", &[("MUG", 1)]).await.unwrap();
    shop.cancel(order).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    shop.shop().start_process("inventory").await.unwrap();
    assert_eq!((&settled["status"], &settled["version"]), (&json!("cancelled"), &json!(2)));
    assert_eq!(settled["reasons"][0]["code"], "cancelled_by_customer");
    assert!(shop.booked(order).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_while_payments_holds_the_baton_is_remembered_and_refunded() {
    let shop = alone().await;
    shop.bank_faults(&json!({ "outage": true })).await.unwrap();
    let order = shop.place("ada", &[("MUG", 1)]).await.unwrap();
    let validated = shop.waited(order, "validated").await.unwrap();
    assert_eq!(validated["status"], "validated", "{validated:#}");
    shop.cancel(order).await.unwrap();
    shop.bank_faults(&json!({})).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "refunded", "{settled:#}");
    assert_eq!(settled["payment"]["status"], "refunded");
    let timeline = shop.timeline(order).await.unwrap();
    let statuses: Vec<_> = timeline.iter().map(|t| t["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["requested", "validated", "paid", "refund_due", "refunded"]);
    assert_eq!(shop.booked(order).await.unwrap(), ["capture", "refund"]);
    let mails = testkit::wait_for("the mail", PATIENCE, || async {
        let mails = shop.mails(order).await.unwrap();
        if mails.is_empty() { Err(mails) } else { Ok(mails) }
    })
    .await;
    assert_eq!(mails, ["refund"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_stays_confirmed() {
    let shop = together().await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    shop.cancel(order).await.unwrap();
    let refusal = refusal(&shop, order).await;
    assert_eq!(refusal["reasons"][0]["code"], "already_confirmed");
    assert_eq!(shop.order(order).await.unwrap().body["status"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_order_cannot_be_cancelled_again() {
    let shop = together().await;
    for (customer, sku, status) in [("ada", "GONE", "rejected"), ("declan", "TEA", "cancelled")] {
        let order = shop.place(customer, &[(sku, 1)]).await.unwrap();
        assert_eq!(shop.settled(order).await.unwrap()["status"], status);
        shop.cancel(order).await.unwrap();
        let refusal = refusal(&shop, order).await;
        assert_eq!(refusal["reasons"][0]["code"], format!("already_{status}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_exist_shows_as_refused() {
    let shop = together().await;
    let order = OrderId(uuid::Uuid::new_v4());
    let path = format!("/orders/{order}/cancellation");
    let answer = testkit::wait_for("the refusal in the answer", PATIENCE, || async {
        let request = shop.post("orders", &path, &Value::Null).header("prefer", "wait=30");
        let answer = shop.send(request).await.unwrap();
        if answer.status == 202 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(answer.status.as_u16(), 409, "{answer:?}");
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "refused");
    assert!(settled.to_string().contains("unknown_order"), "{settled:#}");
}
