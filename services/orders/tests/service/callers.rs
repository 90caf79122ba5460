//! Goal: a customer places and cancels their own orders alone, and hears of no other one.

use contracts::{CustomerId, Status, orders::OrderCommand};
use orders::http::document;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use service_kit::Callers;
use testkit::callers::{Badges, OTHER, OWNER, Operation, Sample, assert_callers};

use crate::{
    edge::{Edge, body, tea_and_mug},
    fixtures,
    waiting::{order_of, refusal},
};

async fn edge() -> (Edge, Badges) {
    let badges = Badges::default();
    let edge = Edge::start_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    (edge, badges)
}

fn cancellation(n: u128) -> String {
    format!("/orders/{}/cancellation", fixtures::order_id(n))
}

#[tokio::test]
async fn each_caller_gets_what_the_routes_declare() {
    let (edge, badges) = edge().await;
    let document = document().to_json().unwrap();
    assert_callers(&edge.base(), &document, &badges, samples).await;
}

fn samples(operation: &Operation) -> Vec<Sample> {
    vec![match operation.path.as_str() {
        "/orders" => Sample::plain(operation).with(tea_and_mug()),
        "/orders/{id}/cancellation" => Sample::of(cancellation(1), Some(cancellation(2))),
        _ => Sample::plain(operation),
    }]
}

#[tokio::test]
async fn the_command_of_a_customer_says_whose_orders_it_may_cancel() {
    let (edge, badges) = edge().await;
    let cancel = |token: &str| edge.post(&cancellation(1)).bearer_auth(token);
    cancel(&badges.customer(OWNER)).send().await.unwrap();
    cancel(&badges.staff()).send().await.unwrap();
    let customers = edge.sent().into_iter().map(|command| match command {
        OrderCommand::CancelOrder(cancel) => cancel.customer_id,
        OrderCommand::PlaceOrder(_) => panic!("no order was placed"),
    });
    let owner: CustomerId = OWNER.parse().unwrap();
    assert_eq!(customers.collect::<Vec<_>>(), [Some(owner), None]);
    let no_customer = cancel(&badges.customer("a/b")).send().await.unwrap();
    assert_eq!(no_customer.status(), 403);
}

#[tokio::test]
async fn a_key_of_another_customer_names_another_command() {
    let (edge, badges) = edge().await;
    let cancel = |token: String| {
        edge.post(&cancellation(1)).bearer_auth(token).header("Idempotency-Key", "k")
    };
    let ids = async |request: RequestBuilder| -> Value {
        body(request.send().await.unwrap()).await["command_id"].clone()
    };
    let first = ids(cancel(badges.customer(OWNER))).await;
    assert_eq!(first, ids(cancel(badges.customer(OWNER))).await);
    assert_ne!(first, ids(cancel(badges.customer(OTHER))).await);
    assert_ne!(first, ids(cancel(badges.staff())).await);
}

#[tokio::test]
async fn a_customer_who_waits_for_the_cancellation_of_anothers_order_hears_what_is_theirs() {
    let (edge, badges) = edge().await;
    // The order is cancelled by its customer meanwhile, and then the stranger is refused.
    let waiters = edge.waiters.clone();
    edge.react(move |command| {
        let mut order = order_of(command, Status::Cancelled);
        order.customer.customer_id = OWNER.parse().unwrap();
        waiters.on_view(order);
        let OrderCommand::CancelOrder(cancel) = command else { return };
        if cancel.customer_id.as_ref().is_some_and(|customer| customer.as_str() != OWNER) {
            waiters.on_refusal(refusal(command, "order_id", "unknown_order"));
        }
    });
    let wait = |token: String| {
        edge.post(&cancellation(1)).bearer_auth(token).header("Prefer", "wait=30").send()
    };
    let answer = wait(badges.customer(OTHER)).await.unwrap();
    assert_eq!(answer.status(), 409);
    let problem = body(answer).await;
    assert_eq!(problem["code"], "cancellation_refused");
    assert!(!problem.to_string().contains("lines"), "{problem}");
    let answer = wait(badges.customer(OWNER)).await.unwrap();
    assert_eq!(answer.status(), 200, "it is hers");
}

#[tokio::test]
async fn a_customer_places_no_order_of_another_one_whether_there_is_one_or_not() {
    let (edge, badges) = edge().await;
    for customer in [OWNER, "nothing-known-of"] {
        let order = json!({ "customer_id": customer, "lines": [{ "sku": "TEA", "quantity": 1 }] });
        let answer = edge.order(&order).bearer_auth(badges.customer(OTHER)).send().await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    assert_eq!(edge.sent(), []);
}
