//! Goal: a question that makes no sense is answered with a problem that names the parameter, and an
//! answer says how old it may be.

use crate::{
    harness::Instance,
    stories::{NOON, order_id, requested},
};
use contracts::Timestamp;
use std::{collections::BTreeSet, time::Duration};
use testkit::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_names_the_parameter() {
    let view = Instance::start("questions").await;
    let order = format!("/orders/{}", order_id(1));
    for (path, field) in [
        ("/orders/7".to_owned(), "id"),
        ("/orders/7/timeline".to_owned(), "id"),
        (format!("{order}?wait=done"), "wait"),
        (format!("{order}?wait=settled&timeout=soon"), "timeout"),
        (format!("{order}?wait=settled&timeout=60001"), "timeout"),
        (format!("{order}?min_version=-1"), "min_version"),
        (format!("{order}/timeline?min_version=x"), "min_version"),
        (format!("{order}?version=1"), "version"),
        ("/customers/a%20b/orders".to_owned(), "id"),
        ("/customers/ada/orders?limit=0".to_owned(), "limit"),
        ("/customers/ada/orders?limit=101".to_owned(), "limit"),
        ("/customers/ada/orders?before=7".to_owned(), "before"),
        ("/products?limit=1001".to_owned(), "limit"),
        ("/products/%2F".to_owned(), "sku"),
        ("/sales?after=a%2Fb".to_owned(), "after"),
    ] {
        let problem = view.problem(&path, 400).await;
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
    let problem = view.problem(&order, 404).await;
    assert_eq!(problem["code"], "not_found");
    view.problem("/nowhere", 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_how_old_it_may_be_whichever_instance_gives_it() {
    let staleness = |response: &reqwest::Response| -> Option<u64> {
        let header = response.headers().get("view-staleness-ms");
        header.map(|ms| ms.to_str().unwrap().parse().unwrap())
    };
    let mut view = Instance::start("staleness").await;
    let response = view.ask("/products").await;
    assert_eq!(staleness(&response), None, "nothing has been read yet");

    // Records from long ago: the view is as old as the last of them.
    view.now = NOON;
    view.feed(&[requested(1)]);
    let since_noon = Timestamp::now() - NOON;
    let shown = staleness(&view.ask("/products").await).unwrap();
    assert!(shown >= u64::try_from(since_noon.as_millis()).unwrap(), "{shown}");

    // The input is drained: the view is up to date, and the others learn it.
    view.now = Timestamp::now();
    view.batch(&[]);
    let shown = staleness(&view.ask("/products").await).unwrap();
    assert!(shown < 10_000, "{shown}");
    let other = view.another().await;
    wait_for("the other instance to hear of it", Duration::from_secs(20), || async {
        let shown = staleness(&other.ask("/products").await);
        if shown.is_some_and(|ms| ms < 20_000) { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_asked_is_told() {
    let view = Instance::start("index").await;
    let index = view.get("/").await;
    assert_eq!(index["service"], "view");
    let document = view.get("/openapi.json").await;
    let paths: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let told = [
        "/",
        "/customers/{id}/orders",
        "/orders/{id}",
        "/orders/{id}/timeline",
        "/products",
        "/products/{sku}",
        "/sales",
    ];
    assert_eq!(paths, BTreeSet::from(told));
    let parameters = document["paths"]["/orders/{id}"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "wait", "min_version", "timeout"]);
}
