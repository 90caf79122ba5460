//! Goal: what an operator drops, or a new program cannot use, is missed alone, and comes back.

use crate::{
    harness::Instance,
    rebuild::{Records, rebuilt, records_of_every_kind},
    stories::{confirmed_story, order_id},
};
use serde_json::Value;
use view::{adapters::drop_view, rebuild::Ended, views::ViewName};

/// A path that needs each view, and no other one but where it says so.
const PATHS: [(ViewName, &str); 8] = [
    (ViewName::Orders, "/orders/{}"),
    (ViewName::Refusals, "/orders/{}"),
    (ViewName::Versions, "/orders/{}?version=1"),
    (ViewName::Timeline, "/orders/{}/timeline"),
    (ViewName::CustomerOrders, "/customers/ada/orders"),
    (ViewName::Products, "/products/TEA"),
    (ViewName::Customers, "/customers"),
    (ViewName::Sales, "/sales"),
];

fn path(template: &str) -> String {
    template.replace("{}", &order_id(2).to_string())
}

/// The names of the views whose path answers 503, and the details.
async fn missed(view: &Instance) -> Vec<(ViewName, String)> {
    let mut missed = Vec::new();
    for (name, template) in PATHS {
        let answer = view.ask(&path(template)).await;
        if answer.status() != 200 {
            let status = answer.status();
            assert!(answer.headers().contains_key("retry-after"));
            let problem: Value = answer.json().await.unwrap();
            assert_eq!((status.as_u16(), &problem["code"]), (503, &"view_dropped".into()));
            missed.push((name, problem["detail"].as_str().unwrap().to_owned()));
        }
    }
    missed
}

async fn filled(name: &str) -> (Instance, Records) {
    let mut view = Instance::start(name).await;
    let log = Records::default();
    let records = records_of_every_kind(&mut view, 20);
    log.push(&records);
    view.batch(&records);
    (view, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_view_names_the_way_out_and_the_others_serve_on() {
    let (mut view, log) = filled("dropped").await;
    for (n, name) in (1_000..).zip(ViewName::ALL) {
        let dropped = view.client.delete(view.address(&format!("/views/{name}"))).send().await;
        let status: Value = dropped.unwrap().json().await.unwrap();
        assert_eq!((&status["state"], &status["bytes"]), (&"dropped".into(), &0.into()));
        let missed = missed(&view).await;
        let out = format!("`./shop view rebuild {name}`");
        let names = |detail: &str| detail.contains(&format!("`{name}`")) && detail.contains(&out);
        assert!(missed.iter().all(|(_, detail)| names(detail)), "{name}: {missed:?}");
        assert!(missed.iter().any(|(missed, _)| *missed == name), "{name}: {missed:?}");
        assert!(missed.len() == 1 || name == ViewName::Orders || name == ViewName::Refusals);
        // Orders pass, and are announced.
        let records = view.records(&confirmed_story(n));
        log.push(&records);
        assert_eq!(view.batch(&records).versions(), [1, 2, 3, 4], "{name}");
        let (_, ended) = rebuilt(&view, name, log.clone()).await;
        assert!(matches!(ended.unwrap(), Ended::Swapped { .. }), "{name}");
        assert_eq!(self::missed(&view).await, []);
    }
    let live = view.rows().await;
    for name in ViewName::ALL {
        rebuilt(&view, name, log.clone()).await.1.unwrap();
    }
    assert_eq!(view.rows().await, live, "also of what came while a view was not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_names_the_dropped_view_that_it_looks_at() {
    let (view, log) = filled("asked_when_dropped").await;
    drop_view(view.database(), ViewName::Orders).await.unwrap();
    let problem = view.problem("/questions/orders-by-status", 503).await;
    assert_eq!((&problem["code"], &problem["view"]), (&"view_dropped".into(), &"orders".into()));
    rebuilt(&view, ViewName::Orders, log).await.1.unwrap();
    view.get("/questions/orders-by-status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_there_is_not_is_answered_with_those_that_there_are() {
    let view = Instance::start("no_such_view").await;
    let problem = view.problem("/views/order", 404).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("no view `order`: there are orders, refusals,"), "{detail}");
    let all = view.get("/views").await;
    let names: Vec<_> =
        all["views"].as_array().unwrap().iter().map(|view| view["name"].as_str()).collect();
    assert_eq!(names, ViewName::ALL.map(|name| Some(name.as_str())));
    assert!(all["views"].as_array().unwrap().iter().all(|view| view["current"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_view_serves_until_its_changed_definition_is_rebuilt() {
    let (view, log) = filled("changed").await;
    let live = view.rows().await;
    view.sql("UPDATE views SET digest = 'older'").await;
    let next = view.another().await;
    assert_eq!(missed(&next).await, []);
    for name in ViewName::ALL {
        let status = next.get(&format!("/views/{name}")).await;
        assert_eq!((&status["current"], &status["state"]), (&false.into(), &"served".into()));
        assert!(status["rebuild"].is_object(), "{status:#}");
        rebuilt(&next, name, log.clone()).await.1.unwrap();
        assert_eq!(next.get(&format!("/views/{name}")).await["current"], true);
    }
    assert_eq!(next.rows().await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_the_program_cannot_use_are_missed_until_they_are_rebuilt() {
    let (view, log) = filled("useless").await;
    let live = view.rows().await;
    view.sql(
        "UPDATE views SET digest = 'older' WHERE name IN ('customer-orders', 'sales', 'versions');
         ALTER TABLE customer_orders DROP COLUMN currency;
         ALTER TABLE sales ADD COLUMN country text NOT NULL DEFAULT 'x';
         ALTER TABLE sales ALTER COLUMN country DROP DEFAULT;
         ALTER TABLE order_versions DROP CONSTRAINT order_versions_pkey",
    )
    .await;
    let next = view.another().await;
    let missed = missed(&next).await;
    let names: Vec<_> = missed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [ViewName::Versions, ViewName::CustomerOrders, ViewName::Sales]);
    assert!(missed.iter().all(|(_, detail)| detail.contains("is being rebuilt: 0 records")));
    for name in names {
        rebuilt(&next, name, log.clone()).await.1.unwrap();
    }
    assert_eq!((self::missed(&next).await, next.rows().await), (vec![], live));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_from_before_the_definitions_are_taken_over() {
    let (view, log) = filled("taken_over").await;
    let live = view.rows().await;
    // As the migration leaves them: it knows how far orders were applied, and no other topic.
    view.sql("DELETE FROM views; DELETE FROM positions WHERE topic <> 'orders'").await;
    let next = view.another().await;
    assert_eq!((missed(&next).await, next.rows().await), (vec![], live.clone()));
    for name in ViewName::ALL {
        assert!(next.get(&format!("/views/{name}")).await["rebuild"].is_object(), "{name}");
        rebuilt(&next, name, log.clone()).await.1.unwrap();
    }
    assert_eq!(next.rows().await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_of_refusals_keeps_those_that_the_log_has_no_longer() {
    let (view, _) = filled("kept").await;
    let live = view.rows().await;
    rebuilt(&view, ViewName::Refusals, Records::default()).await.1.unwrap();
    assert_eq!(view.rows().await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_ends_with_its_view() {
    let (view, log) = filled("ended").await;
    view::adapters::want(view.database(), ViewName::Orders).await.unwrap();
    let before = view.get("/views/orders").await;
    assert!(before["rebuild"].is_object());
    drop_view(view.database(), ViewName::Orders).await.unwrap();
    let after = view.get("/views/orders").await;
    assert_eq!((&after["rebuild"], &after["state"]), (&Value::Null, &"dropped".into()));
    rebuilt(&view, ViewName::Orders, log).await.1.unwrap();
    assert_eq!(missed(&view).await, []);
}
