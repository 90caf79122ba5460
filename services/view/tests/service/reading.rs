//! Goal: a question that makes no sense is answered with a problem that names the parameter, and an
//! answer says how old it may be.

use crate::{
    harness::Instance,
    stories::{NOON, confirmed_story, order_id, requested},
};
use contracts::{ServiceName, Timestamp, metrics::strangers};
use std::{collections::BTreeSet, time::Duration};
use testkit::{PATIENCE, metric, wait_for};
use view::{adapters::drop_view, views::ViewName};

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
        (format!("{order}/timeline?version=1"), "version"),
        ("/customers/a%20b/orders".to_owned(), "id"),
        ("/customers/ada/orders?limit=0".to_owned(), "limit"),
        ("/customers/ada/orders?limit=101".to_owned(), "limit"),
        ("/customers/ada/orders?before=7".to_owned(), "before"),
        ("/customers?limit=0".to_owned(), "limit"),
        ("/customers?after=a%2Fb".to_owned(), "after"),
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

/// How old the answers of `view` are at most, in milliseconds.
async fn staleness(view: &Instance) -> Option<u64> {
    let response = view.ask("/products").await;
    let header = response.headers().get("view-staleness-ms");
    header.map(|ms| ms.to_str().unwrap().parse().unwrap())
}

/// The same in seconds, as `/metrics` has it.
async fn gauge(view: &Instance) -> Option<f64> {
    let text = view.ask("/metrics").await.text().await.unwrap();
    assert_eq!(strangers(ServiceName::View, &text), Vec::<String>::new());
    metric(&text, "view_staleness_seconds{view=\"timeline\"}")
}

fn before(age: Duration) -> Timestamp {
    Timestamp(Timestamp::now().millis() - i64::try_from(age.as_millis()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_how_old_it_may_be_whichever_instance_gives_it() {
    let mut view = Instance::start("staleness").await;
    assert_eq!(staleness(&view).await, None, "nothing has been read yet");
    assert_eq!(gauge(&view).await, None);

    // Records from long ago: the view is as old as the last of them.
    view.now = NOON;
    view.caught_up();
    view.feed(&[requested(1)]);
    let since_noon = Timestamp::now() - NOON;
    let shown = staleness(&view).await.unwrap();
    // A clock that counts milliseconds and one that counts fractions of seconds.
    let told = Duration::from_secs_f64(gauge(&view).await.unwrap());
    assert!(told + Duration::from_millis(1) >= Duration::from_millis(shown), "{told:?}, {shown}");
    assert!(shown >= u64::try_from(since_noon.as_millis()).unwrap(), "{shown}");

    // The input is drained: the view is up to date, and the others learn it.
    view.now = Timestamp::now();
    view.caught_up();
    view.batch(&[]);
    let shown = staleness(&view).await.unwrap();
    assert!(shown < 10_000, "{shown}");
    let other = view.another().await;
    wait_for("the other instance to hear of it", PATIENCE, || async {
        let shown = staleness(&other).await;
        if shown.is_some_and(|ms| ms < 20_000) { Ok(()) } else { Err(shown) }
    })
    .await;

    // One that is dropped has no age; the others do.
    drop_view(view.database(), ViewName::Timeline).await.unwrap();
    wait_for("the view to be missed", PATIENCE, || async {
        let text = view.ask("/metrics").await.text().await.unwrap();
        let told = |name| metric(&text, &format!("view_staleness_seconds{{view=\"{name}\"}}"));
        if told("timeline").is_none() && told("orders").is_some() { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_minutes_behind_says_minutes_also_after_a_rebalance() {
    let mut first = Instance::start("behind").await;
    first.now = before(Duration::from_secs(600));
    first.caught_up();
    first.batch(&[]);
    let mut second = first.another().await;
    wait_for("the second instance to hear how far it is", PATIENCE, || async {
        let shown = staleness(&second).await;
        if shown.is_some() { Ok(()) } else { Err(shown) }
    })
    .await;
    // It takes over. Its first batch is a small one, of new records on one of the topics.
    second.now = Timestamp::now();
    second.feed(&[requested(1)]);
    let shown = staleness(&second).await.unwrap();
    assert!((600_000..700_000).contains(&shown), "{shown}");
    second.caught_up();
    let shown = staleness(&second).await.unwrap();
    assert!(shown < 10_000, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_does_not_make_the_view_look_fresh_for_ever() {
    let mut view = Instance::start("ahead").await;
    let hour = Duration::from_secs(3600);
    view.now = Timestamp::now() + hour;
    view.caught_up();
    view.feed(&[requested(1)]);
    // The clock is right again, and nothing more is read.
    let other = view.another().await;
    for instance in [&view, &other] {
        wait_for("its news to grow old", PATIENCE, || async {
            let shown = staleness(instance).await;
            if shown.is_some_and(|ms| ms > 100) { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    view.now = before(Duration::from_secs(600));
    view.caught_up();
    view.feed(&[requested(2)]);
    assert!(staleness(&view).await.unwrap() < 60_000, "what was once shown stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_that_no_calendar_knows_stops_nothing() {
    let mut view = Instance::start("calendar").await;
    for (n, at) in [(1, i64::MIN), (2, -1), (3, i64::MAX)] {
        let mut records = view.records(&[requested(n)]);
        records[0].timestamp_ms = at;
        assert_eq!(view.batch(&records).versions(), [1]);
    }
    view.now = Timestamp::now();
    view.caught_up();
    view.batch(&[]);
    assert!(staleness(&view).await.unwrap() < 10_000);
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
        "/batons",
        "/customers",
        "/customers/{id}/orders",
        "/events",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/orders/{id}",
        "/orders/{id}/events",
        "/orders/{id}/timeline",
        "/products",
        "/products/{sku}",
        "/questions",
        "/questions/{name}",
        "/sales",
        "/topology",
        "/views",
        "/views/{name}",
        "/views/{name}/rebuild",
    ];
    assert_eq!(paths, BTreeSet::from(told));
    let parameters = document["paths"]["/orders/{id}"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "wait", "min_version", "timeout", "version", "at"]);
    let answers = &document["paths"]["/orders/{id}"]["get"]["responses"];
    assert!(answers["304"].is_object(), "{answers:#}");
    let stream = &document["paths"]["/events"]["get"]["responses"];
    assert!(stream["304"].is_null(), "{stream:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_answered_without_a_body() {
    let mut view = Instance::start("unchanged").await;
    let story = confirmed_story(1);
    view.feed(&story[..1]);
    let order = format!("/orders/{}", order_id(1));
    for path in [&order, &format!("{order}/timeline"), "/customers/ada/orders", "/topology"] {
        let first = view.ask(path).await;
        assert_eq!(first.status(), 200, "{path}");
        let tag = first.headers()["etag"].clone();
        let again = view.ask_again(path, &tag).await;
        assert_eq!((again.status(), &again.headers()["etag"]), (304.try_into().unwrap(), &tag));
        assert_eq!(again.text().await.unwrap(), "", "{path}");
    }
    let tag = view.ask(&order).await.headers()["etag"].clone();
    view.feed(&story[1..]);
    let changed = view.ask_again(&order, &tag).await;
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], tag);
    assert_eq!(changed.json::<serde_json::Value>().await.unwrap()["status"], "confirmed");
    let nothing = view.ask("/orders/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((nothing.status(), nothing.headers().get("etag")), (404.try_into().unwrap(), None));
}
