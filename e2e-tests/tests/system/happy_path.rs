//! The best first read: an order passes from service to service, without a coordinator.

use crate::support::together;
use e2e_tests::PATIENCE;
use serde_json::{Value, json};

fn price(product: &Value) -> i64 {
    product["price"]["amount_minor"].as_i64().expect("a product has a price")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_becomes_confirmed_paid_mailed_and_traceable() {
    let shop = together().await;
    let order = shop.place("ada", &[("TEA", 2), ("MUG", 1)]).await.unwrap();

    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["status"], "confirmed", "{settled:#}");
    assert_eq!(settled["version"], 4);
    assert_eq!(settled["customer_id"], "ada");
    assert_eq!(settled["payment"]["status"], "captured");
    let (tea, mug) = (shop.product("TEA").await.unwrap(), shop.product("MUG").await.unwrap());
    let line = |product: &Value, quantity: i64| {
        json!({
            "sku": product["sku"],
            "name": product["name"],
            "quantity": quantity,
            "unit_price_minor": product["price"]["amount_minor"],
            "total_minor": quantity * price(product),
        })
    };
    assert_eq!(settled["lines"], json!([line(&tea, 2), line(&mug, 1)]));
    let total = 2 * price(&tea) + price(&mug);
    assert_eq!(settled["total"], json!({ "amount_minor": total, "currency": "EUR" }));

    let captures: Vec<_> = shop.statement().await.unwrap();
    let captures: Vec<_> =
        captures.iter().filter(|entry| entry["key"] == order.to_string()).collect();
    assert_eq!(captures.len(), 1, "{captures:?}");
    assert_eq!(captures[0]["kind"], "capture");
    assert_eq!(captures[0]["amount_minor"], total);

    let mails = testkit::wait_for("the mail", PATIENCE, || async {
        let mails = shop.mails(order).await.unwrap();
        if mails.is_empty() { Err(mails) } else { Ok(mails) }
    })
    .await;
    assert_eq!(mails, ["confirmation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_tells_who_wrote_what_and_where() {
    let shop = together().await;
    let order = shop.place("grace", &[("TEA", 1)]).await.unwrap();
    shop.settled(order).await.unwrap();

    let timeline = shop.timeline(order).await.unwrap();
    let of = |name: &str| -> Vec<&str> {
        timeline.iter().map(|transition| transition[name].as_str().unwrap()).collect()
    };
    assert_eq!(
        of("transition"),
        ["OrderRequested", "OrderValidated", "PaymentReceived", "OrderConfirmed"]
    );
    assert_eq!(of("writer"), ["orders", "orders", "payments", "orders"]);
    let offsets: Vec<_> = timeline.iter().map(|t| t["offset"].as_i64().unwrap()).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    for transition in &timeline {
        assert_eq!(transition["topic"], "orders");
        assert_eq!(transition["partition"], timeline[0]["partition"]);
    }
    let lineage = timeline[3]["lineage"].to_string();
    for service in ["orders@", "inventory@", "payments@"] {
        assert!(lineage.contains(service), "{service} is missing in {lineage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_wait_for_the_outcome_or_for_a_version() {
    let shop = together().await;
    let body = json!({ "customer_id": "alan", "lines": [{ "sku": "TEA", "quantity": 1 }] });
    let key = uuid::Uuid::new_v4().to_string();
    // A slow shop says 202 in the end: the same request then asks for the same order.
    let answer = testkit::wait_for("the outcome in the answer", PATIENCE, || async {
        let request = shop.post("orders", "/orders", &body).header("idempotency-key", &key);
        let answer = shop.send(request.header("prefer", "wait=30")).await.unwrap();
        if answer.status == 202 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    assert_eq!(answer.body["status"], "confirmed");
    let id = answer.body["order_id"].as_str().unwrap().to_owned();
    let read_my_write =
        shop.get("view", &format!("/orders/{id}?min_version=4&timeout=1000")).await.unwrap();
    assert_eq!(read_my_write.body["version"], 4);
    let orders = shop.get("view", "/customers/alan/orders").await.unwrap();
    let orders = orders.body["orders"].as_array().unwrap();
    assert!(orders.iter().any(|order| order["order_id"] == id), "{orders:?}");
    let sales = shop.get("view", "/sales").await.unwrap();
    assert!(sales.body.to_string().contains("TEA"), "{sales:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_waiters_are_all_answered() {
    let shop = together().await;
    let order = shop.place("ada", &[("TEA", 1)]).await.unwrap();
    let waiters = (0..200).map(|_| {
        let shop = shop.clone();
        async move { shop.settled(order).await.unwrap()["status"].clone() }
    });
    let answers = futures::future::join_all(waiters).await;
    assert!(answers.iter().all(|status| status == "confirmed"), "{answers:?}");
}
