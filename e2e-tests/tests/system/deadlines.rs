//! Every order ends by its deadline, and with a reason.

use crate::support::alone;
use contracts::topics::ORDER_VALIDATIONS;
use e2e_tests::PATIENCE;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn without_inventory_an_order_ends_by_its_deadline_and_its_late_reservation_is_released() {
    let shop = alone().await;
    let before = shop.product("MUG").await.unwrap();
    shop.shop().stop("inventory").await.unwrap();
    shop.shop().stop("orders").await.unwrap();
    let short = [("ORDER_DEADLINE_MS", "2000")];
    shop.shop().start_process_with("orders", &short).await.unwrap();
    let order = shop.place("ada", &[("MUG", 2)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "cancelled", "{settled:#}");
    assert_eq!(settled["reasons"][0]["code"], "deadline");

    shop.shop().start_process("inventory").await.unwrap();
    shop.shop().restart("orders").await.unwrap();
    let bootstrap = shop.shop().url("kafka").to_owned();
    testkit::wait_for("inventory's late answer", PATIENCE, || async {
        let (bootstrap, key) = (bootstrap.clone(), order.to_string().into_bytes());
        let read = tokio::task::spawn_blocking(move || {
            let mut found = false;
            streams_kafka::read_topic(&bootstrap, &ORDER_VALIDATIONS.spec, |record| {
                found |= record.key.as_deref() == Some(&key);
                Ok(())
            })
            .map(|()| found)
        });
        if read.await.unwrap().unwrap() { Ok(()) } else { Err("no answer yet") }
    })
    .await;
    testkit::wait_for("the mugs to be free again", PATIENCE, || async {
        let after = shop.product("MUG").await.unwrap();
        let free = after["available"] == before["available"] && after["reserved"] == 0;
        if free { Ok(()) } else { Err(after) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_payments_an_order_waits_and_is_finished_when_payments_is_back() {
    let shop = alone().await;
    shop.shop().stop("payments").await.unwrap();
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    let waiting = shop.waited(order, "validated").await.unwrap();
    assert_eq!(waiting["status"], "validated");
    shop.shop().start_process("payments").await.unwrap();
    shop.confirmed(order).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_never_answers_is_given_up_at_the_deadline_and_keeps_no_money() {
    let shop = alone().await;
    shop.shop().stop("orders").await.unwrap();
    // Long enough for the charge to begin, also on a slow machine.
    let short = [("ORDER_DEADLINE_MS", "20000")];
    shop.shop().start_process_with("orders", &short).await.unwrap();
    // It books, but its answers are lost.
    shop.bank_faults(&json!({ "timeout_rate": 1.0 })).await.unwrap();
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "cancelled", "{settled:#}");
    assert!(settled["reasons"].to_string().contains("deadline"), "{settled:#}");
    shop.bank_faults(&json!({})).await.unwrap();
    shop.shop().restart("orders").await.unwrap();
    testkit::wait_for("the late capture to be voided", PATIENCE, || async {
        let booked = shop.booked(order).await.unwrap();
        if booked == ["capture", "void"] { Ok(()) } else { Err(booked) }
    })
    .await;
}
