//! Bad input gets a problem (RFC 9457) that names the field, and loses nothing.

use crate::support::together;
use client::order_body;
use e2e_tests::{Answer, PATIENCE};
use serde_json::{Value, json};

fn assert_problem(answer: &Answer, status: u16, field: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["title"].is_string() && answer.body["type"].is_string(), "{answer:?}");
    if !field.is_empty() {
        assert!(answer.fields().contains(&field), "{field} is not named in {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_order_is_told_which_field_is_wrong() {
    let shop = together().await;
    let order = |lines: Value| json!({ "customer_id": "ada", "lines": lines });
    let many: Vec<_> = (0..51).map(|n| (format!("S{n}"), 1)).collect();
    let cases = [
        (order_body("nobody", &[("TEA", 1)]), "customer_id"),
        (order_body("ada", &[("TEA", 1), ("UNKNOWN", 1)]), "lines[1].sku"),
        (order_body("ada", &[("TEA", 0)]), "lines[0].quantity"),
        (order_body("ada", &[("TEA", -1)]), "lines[0].quantity"),
        (order_body("ada", &[("TEA", 1001)]), "lines[0].quantity"),
        (order_body("ada", &[("TEA", 1), ("TEA", 1)]), "lines[1].sku"),
        (order(json!([])), "lines"),
        (order_body("ada", &many), "lines"),
        (json!({ "customer_id": "ada" }), "lines"),
        (order(json!([{ "sku": "TEA", "quantity": "two" }])), "lines[0].quantity"),
        (order(json!([{ "sku": "TEA", "quantity": 1, "price": 1 }])), "lines[0].price"),
    ];
    for (body, field) in cases {
        let answer = shop.send(shop.post("orders", "/orders", &body)).await.unwrap();
        assert_problem(&answer, 422, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_order_at_all_is_refused_in_the_same_form() {
    let shop = together().await;
    let broken = shop.send(shop.post_raw("orders", "/orders", "{\"customer_id\":")).await.unwrap();
    assert_problem(&broken, 400, "");
    let huge = format!("{{\"customer_id\":\"{}\"}}", "x".repeat(1024 * 1024));
    let huge = shop.send(shop.post_raw("orders", "/orders", huge)).await.unwrap();
    assert_problem(&huge, 413, "");
    let request = shop.post_raw("orders", "/orders", "a=b");
    let form = request.header("content-type", "application/x-www-form-urlencoded");
    // Both headers are sent; the first one counts, so ask with a plain one, too.
    let form = shop.send(form).await.unwrap();
    assert!(form.status.is_client_error(), "{form:?}");
    let id = shop.send(shop.post("orders", "/orders/17/cancellation", &Value::Null)).await.unwrap();
    assert_problem(&id, 400, "id");
    for path in ["/orders/17", "/orders/01890000-0000-7000-8000-000000000000?wait=soon"] {
        let answer = shop.get("view", path).await.unwrap();
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert_eq!(answer.content_type, "application/problem+json");
    }
    let unknown = shop.get("view", "/orders/01890000-0000-7000-8000-000000000000").await.unwrap();
    assert_problem(&unknown, 404, "");
    let restock = json!({ "quantity": 0 });
    let request = shop.post("inventory", "/stock/TEA/restock", &restock);
    assert_problem(&shop.send(request).await.unwrap(), 422, "quantity");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_one_order_and_refuses_another_body() {
    let shop = together().await;
    let key = uuid::Uuid::new_v4().to_string();
    let send = |quantity: i64| {
        let body = order_body("ada", &[("TEA", quantity)]);
        let request = shop.post("orders", "/orders", &body).header("idempotency-key", &key);
        shop.send(request)
    };
    let (first, again) = (send(1).await.unwrap(), send(1).await.unwrap());
    for answer in [&first, &again] {
        assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
        assert_eq!(answer.body["order_id"], first.body["order_id"]);
    }
    // An answer waits a second for the decision. A busy shop may take longer: then it is 202, and
    // the refusal shows at the view alone.
    let other = testkit::wait_for("a refusal that is an answer", PATIENCE, || async {
        let answer = send(2).await.unwrap();
        if answer.status.as_u16() == 202 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_problem(&other, 422, "");
    assert_eq!(other.body["code"], "idempotency_key_reused", "{other:?}");
    assert_eq!(other.body["order_id"], first.body["order_id"]);
    assert_eq!(again.body["command_id"], first.body["command_id"]);
    let order = first.body["order_id"].as_str().unwrap().parse().unwrap();
    let settled = shop.settled(order).await.unwrap();
    assert_eq!(settled["lines"][0]["quantity"], 1);
    let refusal = testkit::wait_for("the refusal", PATIENCE, || async {
        let order = shop.order(order).await.unwrap().body;
        if order["refusals"][0].is_object() { Ok(order["refusals"].clone()) } else { Err(order) }
    })
    .await;
    assert_eq!(refusal.as_array().unwrap().len(), 1, "{refusal:#}");
    assert_eq!(refusal[0]["command_id"], other.body["command_id"]);
    assert_eq!(refusal[0]["reasons"][0]["code"], "idempotency_key_reused");
    assert_eq!(shop.booked(order).await.unwrap(), ["capture"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_with_one_key_have_two_orders() {
    let shop = together().await;
    let key = uuid::Uuid::new_v4().to_string();
    let send = |customer: &str| {
        let body = order_body(customer, &[("TEA", 1)]);
        shop.send(shop.post("orders", "/orders", &body).header("idempotency-key", &key))
    };
    let (ada, grace) = (send("ada").await.unwrap(), send("grace").await.unwrap());
    for (customer, answer) in [("ada", &ada), ("grace", &grace)] {
        assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
        let order = answer.body["order_id"].as_str().unwrap().parse().unwrap();
        let settled = shop.settled(order).await.unwrap();
        assert_eq!(settled["customer_id"], customer, "{settled:#}");
        assert_eq!(settled["status"], "confirmed", "{settled:#}");
    }
    assert_ne!(ada.body["order_id"], grace.body["order_id"]);
}
