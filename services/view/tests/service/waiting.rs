//! Goal: every waiting request gets its answer when the order is there, on any instance, and the
//! view forgets it when its client leaves.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, requested},
};
use contracts::OrderId;
use reqwest::Response;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use testkit::{PATIENCE, Proxy, postgres::Postgres, wait_for};
use tokio::task::JoinHandle;

fn ask(view: &Instance, path: &str) -> JoinHandle<Response> {
    let (client, url) = (view.client.clone(), view.address(path));
    tokio::spawn(async move { client.get(url).send().await.unwrap() })
}

async fn until_waiting(view: &Instance, count: usize) {
    wait_for("the readers to wait, or to have left", PATIENCE, || async {
        if view.waiters.len() == count { Ok(()) } else { Err(view.waiters.len()) }
    })
    .await;
}

/// Ask for the end of an order, and go on when the request has looked once and waits: what looks
/// while its connection falls silent waits for an answer of the database, and not for news.
async fn ask_and_look(view: &Instance, order_id: OrderId) -> JoinHandle<Response> {
    const LOOKING: &str = "
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut operator = PgConnection::connect(view.database_url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE orders").execute(&mut operator).await.unwrap();
    let wait = ask(view, &format!("/orders/{order_id}?wait=settled&timeout=60000"));
    let pool = view.database().pool();
    wait_for("the request to look", PATIENCE, async || {
        let look = sqlx::query_scalar(LOOKING).fetch_one(pool);
        let looking: i64 = look.await.unwrap();
        if looking == 1 { Ok(()) } else { Err(looking) }
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut operator).await.unwrap();
    wait_for("every other session to be idle", PATIENCE, async || {
        // The listener keeps its own.
        let (idle, open) = (pool.num_idle() + 1, pool.size() as usize);
        if idle == open { Ok(()) } else { Err((idle, open)) }
    })
    .await;
    wait
}

/// The answer to a wait that may last a minute. It must come long before, as the last look at the
/// end of a wait would hide a missing wake-up.
async fn answer(wait: JoinHandle<Response>) -> Response {
    let woken = tokio::time::timeout(PATIENCE, wait).await;
    woken.expect("the reader was woken").unwrap()
}

async fn status(response: Response) -> (String, bool) {
    let timed_out = response.headers().contains_key("wait-timed-out");
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = response.json().await.unwrap();
    (body["status"].as_str().unwrap().to_owned(), timed_out)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_wait_and_none_misses_its_order() {
    const ORDERS: u128 = 50;
    let mut view = Instance::start("two_hundred").await;
    let path = |n| format!("/orders/{}?wait=settled&timeout=60000", order_id(n));
    // Half of them are there first; the others come while the orders do.
    let early: Vec<_> = (0..100).map(|i| ask(&view, &path(1 + i % ORDERS))).collect();
    until_waiting(&view, 100).await;
    let late: Vec<_> = (0..100).map(|i| ask(&view, &path(1 + i % ORDERS))).collect();
    // Step on the heels of step, so that the last one comes while the waiting requests look at the
    // third.
    for step in (1..=ORDERS).flat_map(confirmed_story) {
        view.feed(&[step]);
    }
    for wait in early.into_iter().chain(late) {
        assert_eq!(status(answer(wait).await).await, ("confirmed".into(), false));
    }
    until_waiting(&view, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wait_ends_with_its_own_goal() {
    let mut view = Instance::start("goals").await;
    let story = confirmed_story(1);
    let path = |query: &str| format!("/orders/{}?{query}&timeout=60000", order_id(1));
    let validated = ask(&view, &path("wait=validated"));
    let third = ask(&view, &path("min_version=3"));
    let settled = ask(&view, &path("wait=settled"));
    let timeline = ask(&view, &format!("/orders/{}/timeline?min_version=2", order_id(1)));
    until_waiting(&view, 4).await;
    view.feed(&story[..1]);
    view.feed(&story[1..2]);
    assert_eq!(status(answer(validated).await).await.0, "validated");
    let timeline: serde_json::Value = answer(timeline).await.json().await.unwrap();
    assert_eq!(timeline["transitions"].as_array().unwrap().len(), 2);
    until_waiting(&view, 2).await;
    view.feed(&story[2..3]);
    assert_eq!(status(answer(third).await).await.0, "paid");
    view.feed(&story[3..]);
    assert_eq!(status(answer(settled).await).await.0, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_runs_out_answers_with_what_is_there() {
    let mut view = Instance::start("runs_out").await;
    let response = view.ask(&format!("/orders/{}?wait=settled&timeout=50", order_id(1))).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["wait-timed-out"], "true");
    view.feed(&[requested(1)]);
    let response = view.ask(&format!("/orders/{}?min_version=2&timeout=50", order_id(1))).await;
    assert_eq!(status(response).await, ("requested".into(), true));
    until_waiting(&view, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_forgotten() {
    let view = Instance::start("hangs_up").await;
    let waits: Vec<_> =
        (1..=20).map(|n| ask(&view, &format!("/orders/{}?wait=settled", order_id(n)))).collect();
    until_waiting(&view, 20).await;
    // To drop the request is to close its connection.
    waits.iter().for_each(JoinHandle::abort);
    until_waiting(&view, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_wait_are_told_to_come_back() {
    let postgres = Postgres::shared().await.unwrap();
    let view = Instance::start_on(postgres, "crowded", 2).await;
    let path = format!("/orders/{}", order_id(1));
    let waits = [(); 2].map(|()| ask(&view, &format!("{path}?wait=settled")));
    until_waiting(&view, 2).await;
    let response = view.ask(&format!("{path}?wait=settled")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(view.ask(&path).await.status(), 404, "who only looks is served");
    waits.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_hears_what_another_one_writes() {
    let mut writer = Instance::start("instances").await;
    let reader = writer.another().await;
    let wait = ask(&reader, &format!("/orders/{}?wait=settled&timeout=60000", order_id(1)));
    until_waiting(&reader, 1).await;
    writer.feed(&confirmed_story(1));
    assert_eq!(status(answer(wait).await).await, ("confirmed".into(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_lost_its_connection_lets_everyone_look_again() {
    const LISTENERS: &str = "SELECT pid FROM pg_stat_activity
                             WHERE query LIKE 'LISTEN%' AND datname = current_database()";
    const CUT: &str = "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid";
    let mut writer = Instance::start("cut_off").await;
    let reader = writer.another().await;
    let wait = ask(&reader, &format!("/orders/{}?wait=settled&timeout=60000", order_id(1)));
    until_waiting(&reader, 1).await;
    // An instance answers before it listens, so that there may be nothing to cut yet.
    let pool = writer.database().pool();
    let listeners = wait_for("both instances to listen", PATIENCE, || async {
        let pids: Vec<i32> = sqlx::query_scalar(LISTENERS).fetch_all(pool).await.unwrap();
        if pids.len() == 2 { Ok(pids) } else { Err(pids) }
    })
    .await;
    let cut: Vec<bool> = sqlx::query_scalar(CUT).bind(listeners).fetch_all(pool).await.unwrap();
    assert_eq!(cut, [true, true]);
    writer.feed(&confirmed_story(1));
    assert_eq!(status(answer(wait).await).await, ("confirmed".into(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_server_vanished_without_a_word_is_replaced() {
    let mut writer = Instance::start("vanished").await;
    let proxy = Proxy::before(writer.server()).await.unwrap();
    let reader = writer.behind(&proxy, Duration::from_millis(1500)).await;
    wait_for("the reader to listen", PATIENCE, || async {
        let response = reader.ask("/health/ready").await;
        if response.status() == 200 { Ok(()) } else { Err(response.text().await) }
    })
    .await;
    let wait = ask_and_look(&reader, order_id(1)).await;
    proxy.silence();
    writer.feed(&confirmed_story(1));
    assert_eq!(status(answer(wait).await).await, ("confirmed".into(), false));
}
