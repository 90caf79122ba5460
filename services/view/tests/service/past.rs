//! Goal: an order is shown as it was, by version and by time.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id},
};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_was_after_each_transition() {
    let mut view = Instance::start("versions").await;
    let mut was = Vec::new();
    for step in confirmed_story(1) {
        view.feed(&[step]);
        was.push(view.get(&format!("/orders/{}", order_id(1))).await);
    }
    for (version, was) in (1..).zip(&was) {
        let then = view.get(&format!("/orders/{}?version={version}", order_id(1))).await;
        assert_eq!(&then, was, "version {version}");
    }
    assert_eq!(was[1]["payment"], Value::Null);
    assert_eq!(was[2]["payment"]["status"], "captured");
    view.problem(&format!("/orders/{}?version=5", order_id(1)), 404).await;
    view.problem(&format!("/orders/{}?version=1", order_id(2)), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_was_at_a_time() {
    let mut view = Instance::start("at").await;
    view.feed(&confirmed_story(1));
    // Requested at 22:13:20.001, and then a step each 10 ms.
    for (at, version) in [("20.001", 1), ("20.010", 1), ("20.011", 2), ("59.000", 4)] {
        let path = format!("/orders/{}?at=2023-11-14T22:13:{at}Z", order_id(1));
        assert_eq!(view.get(&path).await["version"], version, "{at}");
    }
    view.problem(&format!("/orders/{}?at=2023-11-14T22:13:20.000Z", order_id(1)), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_that_is_none_is_refused_and_so_is_waiting_for_the_past() {
    let view = Instance::start("no_past").await;
    for (query, field) in [
        ("version=first", "version"),
        ("at=yesterday", "at"),
        ("version=1&wait=settled", "version"),
        ("at=2023-11-14T22:13:20Z&min_version=2", "at"),
        ("at=2023-11-14T22:13:20Z&version=2", "at"),
    ] {
        let problem = view.problem(&format!("/orders/{}?{query}", order_id(1)), 400).await;
        assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
    }
}
