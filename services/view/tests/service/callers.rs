//! Goal: a customer sees their own orders alone; another's looks like one that there is not.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, refusal, requested, requested_by},
};
use contracts::topics::ORDER_REFUSALS;
use reqwest::{Client, Response};
use serde_json::Value;
use service_kit::Callers;
use testkit::PATIENCE;
use testkit::callers::{Badges, OTHER, OWNER, Operation, Sample, assert_callers};

/// A view that asks for tokens, with a confirmed order 1 of the owner.
async fn view(name: &str) -> (Instance, String, Badges) {
    let mut view = Instance::start(name).await;
    view.feed(&confirmed_story(1));
    let badges = Badges::default();
    let base = view.serve_for(&Callers::with_keys(badges.verifier(), badges.keys())).await;
    (view, base, badges)
}

async fn get(base: &str, path: &str, token: &str) -> Response {
    let request = Client::new().get(format!("{base}{path}")).bearer_auth(token);
    request.timeout(PATIENCE).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_gets_what_the_routes_declare() {
    let (_view, base, badges) = view("callers").await;
    let document = view::http::document().to_json().unwrap();
    assert_callers(&base, &document, &badges, samples).await;
}

fn samples(operation: &Operation) -> Vec<Sample> {
    let of_order = |rest: &str| {
        let at = |n| format!("/orders/{}{rest}", order_id(n));
        Sample::of(at(1), Some(at(2)))
    };
    match operation.path.as_str() {
        "/orders/{id}" => {
            let queries = [
                "",
                "?version=1",
                "?at=2030-01-01T00:00:00Z",
                "?wait=settled&timeout=100",
                "?min_version=2&timeout=100",
            ];
            queries.map(of_order).to_vec()
        }
        "/orders/{id}/timeline" => {
            ["/timeline", "/timeline?wait=validated&timeout=100"].map(of_order).to_vec()
        }
        "/orders/{id}/events" => ["/events", "/events?after=1"].map(of_order).to_vec(),
        "/customers/{id}/orders" => vec![Sample::of(format!("/customers/{OWNER}/orders"), None)],
        "/products/{sku}" => vec![Sample::of("/products/TEA", None)],
        "/views/{name}" => vec![Sample::of("/views/sales", None)],
        "/views/{name}/rebuild" => vec![Sample::of("/views/sales/rebuild", None)],
        "/questions/{name}" => vec![Sample::of("/questions/orders-by-status", None)],
        _ => vec![Sample::plain(operation)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_about_anothers_order_tells_nothing_of_it() {
    let (mut view, base, badges) = view("callers_stream").await;
    view.feed(&[requested(3)]);
    let path = format!("/orders/{}/events", order_id(3));
    let theirs = get(&base, &path, &badges.customer(OTHER)).await;
    let owners = get(&base, &path, &badges.customer(OWNER)).await;
    let rejected = crate::stories::rejected(&requested(3));
    view.feed(&[rejected]);
    let heard = owners.text().await.unwrap();
    assert_eq!(heard.matches("event: transition").count(), 2, "{heard}");
    // The other stream waits as for an order that may yet come. It ends with the service.
    view.stop();
    let heard = theirs.text().await.unwrap();
    assert!(!heard.contains("transition"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_refused_is_its_customers_as_well() {
    let (mut view, base, badges) = view("callers_refused").await;
    for (n, command) in [(7, "PlaceOrder"), (8, "CancelOrder")] {
        let record = view.record(&ORDER_REFUSALS, &order_id(n), &refusal(n, command), "orders");
        view.batch(&[record]);
    }
    let status = async |n: u128, token: String| -> (u16, Option<String>) {
        let answer = get(&base, &format!("/orders/{}", order_id(n)), &token).await;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["status"].as_str().map(str::to_owned))
    };
    let refused = (200, Some("refused".to_owned()));
    assert_eq!(status(7, badges.customer(OWNER)).await, refused);
    assert_eq!(status(7, badges.staff()).await, refused);
    assert_eq!(status(7, badges.customer(OTHER)).await.0, 404);
    // None is the customer of an order that there never was.
    assert_eq!(status(8, badges.customer(OWNER)).await.0, 404);
    assert_eq!(status(8, badges.staff()).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_lists_their_own_orders_alone() {
    let (mut view, base, badges) = view("callers_list").await;
    view.feed(&[requested_by(OTHER, 2)]);
    let path = format!("/customers/{OWNER}/orders");
    let list: Value = get(&base, &path, &badges.customer(OWNER)).await.json().await.unwrap();
    assert_eq!(list["orders"].as_array().unwrap().len(), 1, "{list}");
    for customer in [OWNER, "nothing-known-of"] {
        let path = format!("/customers/{customer}/orders");
        let answer = get(&base, &path, &badges.customer(OTHER)).await;
        assert_eq!(answer.status(), 403);
    }
}
