//! The HTTP edge, as far as it goes without Kafka: what is refused, and how.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use contracts::{Currency, catalog::Product, topics::PRODUCTS};
use inventory::http::{App, document, router};
use serde_json::{Value, json};
use service_kit::{Callers, Shutdown};
use std::sync::Arc;
use streams::{Codec, GlobalTable, MemoryRegistry};
use streams_kafka::Sender;
use tower::ServiceExt;

use crate::fixtures::sku;

/// Nothing listens there, so nothing is ever acknowledged.
pub(crate) const NO_KAFKA: &str = "127.0.0.1:1";

pub(crate) fn codec() -> Codec {
    Codec::new(Arc::new(MemoryRegistry::default()))
}

fn api(products: GlobalTable<contracts::Sku, Product>) -> Router {
    let commands = Sender::new(NO_KAFKA, codec()).expect("a sender needs no Kafka to begin with");
    let routes = router(App { products, commands }).expect("the document can be written");
    routes.judged_by(Callers::open())
}

pub(crate) fn catalog() -> GlobalTable<contracts::Sku, Product> {
    let product = Product {
        sku: sku("TEA"),
        name: "Tea".parse().expect("a name"),
        description: "".parse().expect("prose"),
        price_minor: 500.try_into().expect("a price"),
        currency: Currency::EUR,
        picture: "".parse().expect("prose"),
        active: true,
    };
    GlobalTable::fixed([(sku("TEA"), product)])
}

async fn post(api: Router, sku: &str, body: &str) -> (StatusCode, Option<String>, Value) {
    let request = Request::post(format!("/stock/{sku}/restock"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let response = api.oneshot(request).await.expect("an answer");
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes = to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, retry_after, serde_json::from_slice(&bytes).expect("JSON"))
}

#[tokio::test]
async fn a_wrong_request_is_told_which_field_is_wrong() {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    for (sku, body, status, code, field) in [
        ("TEA", r#"{"quantity":0}"#, unprocessable, "invalid_request", "quantity"),
        ("TEA", r#"{"quantity":-1}"#, unprocessable, "invalid_request", "quantity"),
        ("TEA", r#"{"quantity":10000001}"#, unprocessable, "invalid_request", "quantity"),
        ("TEA", r#"{"quantity":1.5}"#, unprocessable, "invalid_request", "quantity"),
        ("TEA", r#"{}"#, unprocessable, "invalid_request", "quantity"),
        ("TEA", r#"{"quantity":1,"command_id":7}"#, unprocessable, "invalid_request", "command_id"),
        ("COFFEE", r#"{"quantity":1}"#, StatusCode::NOT_FOUND, "unknown_sku", "sku"),
        ("A%2FB", r#"{"quantity":1}"#, StatusCode::NOT_FOUND, "unknown_sku", "sku"),
    ] {
        let (found, _, problem) = post(api(catalog()), sku, body).await;
        assert_eq!(found, status, "{sku} {body}: {problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn without_catalog_or_kafka_the_client_is_told_to_come_again() {
    let stop = Shutdown::new();
    let (unread, thread) = streams_kafka::spawn_table::<contracts::owns::Inventory, _, _>(
        NO_KAFKA,
        0,
        &PRODUCTS,
        codec(),
        stop.clone(),
    );
    for products in [unread, catalog()] {
        let (status, retry_after, problem) = post(api(products), "TEA", r#"{"quantity":1}"#).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        assert_eq!(retry_after.as_deref(), Some("1"));
    }
    stop.cancel();
    thread.stopped().await.unwrap();
}

#[test]
fn the_document_describes_the_restock() {
    let document = serde_json::to_value(document()).unwrap();
    let restock = &document["paths"]["/stock/{sku}/restock"]["post"];
    let codes: Vec<_> = restock["responses"].as_object().unwrap().keys().collect();
    let expected =
        "202 400 401 403 404 408 413 414 415 422 429 431 500 503".split(' ').collect::<Vec<_>>();
    assert_eq!(codes, expected);
    let quantity = &document["components"]["schemas"]["RestockRequest"]["properties"]["quantity"];
    assert_eq!(quantity["maximum"], json!(contracts::inventory::RESTOCK_QUANTITY_MAX));
}
