//! What is not there cannot be sold, and what is held is given back.

use crate::support::{alone, together};
use e2e_tests::PATIENCE;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_is_sold_once() {
    let shop = together().await;
    let orders = futures::future::try_join_all([
        shop.place("ada", &[("LAST", 1)]),
        shop.place("grace", &[("LAST", 1)]),
    ]);
    let orders = orders.await.unwrap();
    let mut settled = Vec::new();
    for order in orders {
        settled.push(shop.settled(order).await.unwrap());
    }
    settled.sort_by_key(|order| order["status"].to_string());
    assert_eq!(settled[0]["status"], "confirmed", "{settled:#?}");
    assert_eq!(settled[1]["status"], "rejected");
    let reason = &settled[1]["reasons"][0];
    assert_eq!(
        (&reason["check"], &reason["code"]),
        (&json!("inventory:LAST"), &json!("out_of_stock"))
    );
    testkit::wait_for("nothing left of LAST, and nothing reserved", PATIENCE, || async {
        let last = shop.product("LAST").await.unwrap();
        let gone = last["on_hand"] == 0 && last["reserved"] == 0 && last["available"] == 0;
        if gone { Ok(()) } else { Err(last) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_line_rejects_the_order_and_frees_the_available_one() {
    let shop = alone().await;
    let before = shop.product("MUG").await.unwrap();
    let order = shop.place("ada", &[("MUG", 3), ("GONE", 1)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "rejected");
    assert_eq!(settled["reasons"][0]["check"], "inventory:GONE");
    assert_eq!(settled["payment"], json!(null));
    testkit::wait_for("the mugs to be free again", PATIENCE, || async {
        let after = shop.product("MUG").await.unwrap();
        if after["available"] == before["available"] { Ok(()) } else { Err(after) }
    })
    .await;
    assert!(shop.booked(order).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_customer_is_cancelled_released_and_never_congratulated() {
    let shop = alone().await;
    let before = shop.product("MUG").await.unwrap();
    let order = shop.place("declan", &[("MUG", 2)]).await.unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "cancelled", "{settled:#}");
    assert_eq!(settled["version"], 4);
    assert_eq!(settled["payment"]["status"], "declined");
    testkit::wait_for("the mugs to be free again", PATIENCE, || async {
        let after = shop.product("MUG").await.unwrap();
        if after["available"] == before["available"] { Ok(()) } else { Err(after) }
    })
    .await;
    let mails = testkit::wait_for("a mail", PATIENCE, || async {
        let mails = shop.mails(order).await.unwrap();
        if mails.is_empty() { Err(mails) } else { Ok(mails) }
    })
    .await;
    assert_eq!(mails, ["cancellation"]);
    assert!(shop.booked(order).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_counts_once() {
    let shop = alone().await;
    let before = shop.product("KETTLE").await.unwrap()["on_hand"].as_i64().unwrap();
    let restock = json!({ "quantity": 5, "command_id": uuid::Uuid::new_v4() });
    for _ in 0..3 {
        let request = shop.post("inventory", "/stock/KETTLE/restock", &restock);
        assert_eq!(shop.send(request).await.unwrap().status.as_u16(), 202);
    }
    // The same partition: what comes after them has seen them all.
    let order = shop.place("ada", &[("KETTLE", 1)]).await.unwrap();
    shop.confirmed(order).await.unwrap();
    testkit::wait_for("five more, less one", PATIENCE, || async {
        let after = shop.product("KETTLE").await.unwrap();
        if after["on_hand"] == before + 4 { Ok(()) } else { Err(after) }
    })
    .await;
}
