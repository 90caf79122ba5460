//! Goal: the end of any part of a service is noticed, named and awaited, and each part is a health
//! check.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::PATIENCE;

use anyhow::anyhow;
use axum::Router;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::{
    CallerSettings, Guarded, Lifecycle, Limits, Readiness, Running, Shutdown, config::loopback,
};
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
    time::timeout,
};

/// A part that is well.
async fn until(check: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
    check.up();
    shutdown.cancelled().await;
    Ok(())
}

async fn serve(lifecycle: &Lifecycle) -> Running {
    let open = CallerSettings::default();
    let served = lifecycle.serve((loopback(0), &open), Guarded::default(), Limits::default());
    served.await.expect("a free port can be bound").registered()
}

async fn metrics(running: &Running) -> String {
    let url = format!("http://{}/metrics", running.local_addr());
    let answer = reqwest::get(url).await.expect("the server answers");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4");
    answer.text().await.expect("it is text")
}

/// How the service has ended.
async fn end(lifecycle: Lifecycle) -> Result<(), String> {
    let stopped = timeout(PATIENCE, lifecycle.stopped()).await.expect("it ends");
    stopped.map_err(|error| format!("{error:#}"))
}

async fn checks(running: &Running) -> (StatusCode, Value) {
    let url = format!("http://{}/health/ready", running.local_addr());
    let answer = reqwest::get(url).await.expect("the server answers");
    let status = answer.status();
    let body: Value = answer.json().await.expect("a report is JSON");
    (status, body["checks"].clone())
}

#[tokio::test]
async fn a_task_that_panics_ends_the_process() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    lifecycle.task("well", until);
    lifecycle.task("supervisor", |_, _| async { panic!("out of coffee") });
    let error = end(lifecycle).await.unwrap_err();
    assert!(error.starts_with("supervisor has failed: "), "{error}");
    assert!(error.contains("out of coffee"), "{error}");
}

#[tokio::test]
async fn a_task_that_ends_early_ends_the_process() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    lifecycle.task("well", until);
    lifecycle.task("relay", |check, _| async move {
        check.up();
        Ok(())
    });
    let error = end(lifecycle).await.unwrap_err();
    assert_eq!(error, "relay has failed: it has ended before the shutdown");
}

#[tokio::test]
async fn a_thread_that_ends_with_an_error_ends_the_server() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    let running = serve(&lifecycle).await;
    let (status, followed) = watch::channel("joining");
    let (end_with, ended) = oneshot::channel();
    lifecycle.thread("processor", followed, |status| Err((*status).to_owned()), async {
        ended.await.expect("the thread says how it ends")
    });
    drop(status);
    end_with.send(Err(anyhow!("the registry refuses the schema"))).unwrap();
    let addr = running.local_addr();
    let stopped = timeout(PATIENCE, running.stopped()).await.expect("it ends");
    let error = format!("{:#}", stopped.unwrap_err());
    assert_eq!(error, "processor has failed: the registry refuses the schema");
    assert!(TcpStream::connect(addr).await.is_err(), "it serves no more");
}

#[tokio::test]
async fn the_first_failure_is_the_one_that_is_told() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    lifecycle.task("victim", |_, shutdown| async move {
        shutdown.cancelled().await;
        Err(anyhow!("what I need is gone"))
    });
    lifecycle.task("culprit", |_, _| async { Err(anyhow!("I give up")) });
    assert_eq!(end(lifecycle).await.unwrap_err(), "culprit has failed: I give up");
}

#[tokio::test]
async fn at_the_shutdown_every_part_is_awaited() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    let finished = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    for (name, finished) in ["one", "two", "three"].into_iter().zip(finished.clone()) {
        lifecycle.task(name, |_, shutdown| async move {
            shutdown.cancelled().await;
            // Work that is left to do.
            tokio::task::spawn_blocking(std::thread::yield_now).await?;
            finished.store(true, Ordering::Relaxed);
            Ok(())
        });
    }
    shutdown.cancel();
    end(lifecycle).await.unwrap();
    assert!(finished.iter().all(|finished| finished.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_end_in_time_is_named() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    lifecycle.task("well", until);
    lifecycle.task("stuck", |_, _| pending());
    let (_status, followed) = watch::channel(());
    lifecycle.thread("frozen", followed, |()| Ok(None), pending());
    shutdown.cancel();
    assert_eq!(end(lifecycle).await.unwrap_err(), "not ended within 12 s: stuck, frozen");
}

#[tokio::test]
async fn a_part_that_fails_at_the_shutdown_is_told_too() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    lifecycle.task("outbox", |_, shutdown| async move {
        shutdown.cancelled().await;
        Err(anyhow!("the last answers are lost"))
    });
    shutdown.cancel();
    assert_eq!(end(lifecycle).await.unwrap_err(), "outbox has failed: the last answers are lost");
}

#[tokio::test]
async fn each_part_is_a_health_check() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    let running = serve(&lifecycle).await;
    lifecycle.task("relay", until);
    let (status, followed) = watch::channel(Some("waiting for Kafka"));
    let ended = lifecycle.shutdown();
    lifecycle.thread(
        "processor",
        followed,
        |status| status.map_or(Ok(None), |why| Err(why.to_owned())),
        async move {
            ended.cancelled().await;
            Ok(())
        },
    );
    let up = |name: &str| json!({ "name": name, "status": "up" });
    let down = |name: &str, why: &str| json!({ "name": name, "status": "down", "detail": why });
    let waiting = json!([up("http"), up("relay"), down("processor", "waiting for Kafka")]);
    testkit::wait_for("the processor to be down", PATIENCE, || async {
        let told = checks(&running).await;
        if told == (StatusCode::SERVICE_UNAVAILABLE, waiting.clone()) { Ok(()) } else { Err(told) }
    })
    .await;
    status.send_replace(None);
    let well = json!([up("http"), up("relay"), up("processor")]);
    testkit::wait_for("all to be up", PATIENCE, || async {
        let told = checks(&running).await;
        if told == (StatusCode::OK, well.clone()) { Ok(()) } else { Err(told) }
    })
    .await;
    shutdown.cancel();
    timeout(PATIENCE, running.stopped()).await.expect("it ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_degrades_a_check_and_the_next_beat_mends_it() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    let pulse = lifecycle.pulse("capture", Duration::from_secs(45), "old prices");
    let told = |health: &service_kit::Health| health.details();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(40)).await;
        pulse.beat();
        assert_eq!(told(lifecycle.health()), [""; 0]);
    }
    tokio::time::sleep(Duration::from_secs(46)).await;
    assert_eq!(told(lifecycle.health()), ["capture: old prices"]);
    assert!(lifecycle.health().is_ready());
    pulse.beat();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(lifecycle.health()), [""; 0]);
    drop(pulse);
    shutdown.cancel();
    end(lifecycle).await.unwrap();
}

#[tokio::test]
async fn what_starts_up_may_end_and_leaves_other_parts_behind() {
    let shutdown = Shutdown::new();
    let lifecycle = Lifecycle::new(shutdown.clone());
    let (go, gone) = oneshot::channel();
    lifecycle.start_up(|check, lifecycle| async move {
        check.down("waiting for the catalog");
        gone.await?;
        lifecycle.task("decisions", until);
        Ok(())
    });
    assert!(!lifecycle.health().is_ready());
    go.send(()).unwrap();
    testkit::wait_for("readiness", PATIENCE, || async {
        if lifecycle.health().is_ready() { Ok(()) } else { Err(lifecycle.health().clone()) }
    })
    .await;
    assert!(!shutdown.is_cancelled(), "its end is not the end of the service");
    shutdown.cancel();
    end(lifecycle).await.unwrap();
}

#[tokio::test]
async fn a_service_with_parts_to_register_answers_and_is_not_ready() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    let (open, nothing) = (CallerSettings::default(), Guarded::default());
    let serving = lifecycle.serve((loopback(0), &open), nothing, Limits::default());
    let serving = serving.await.unwrap();
    let url = format!("http://{}/health/ready", serving.local_addr());
    let ready = async || reqwest::get(&url).await.unwrap().status();
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE, "the database may be away");
    let database = lifecycle.health().check("database");
    let _running = serving.registered();
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE, "it has not said anything yet");
    database.up();
    assert_eq!(ready().await, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_start_up_ends_the_process() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    lifecycle.task("well", until);
    lifecycle.start_up(|_, _| async { Err(anyhow!("an incompatible schema")) });
    assert_eq!(end(lifecycle).await.unwrap_err(), "start-up has failed: an incompatible schema");
}

#[tokio::test]
async fn metrics_show_each_check_and_each_request() {
    let lifecycle = Lifecycle::new(Shutdown::new());
    let broken = lifecycle.health().check("broken");
    let sick = lifecycle.health().check("sick");
    sick.degraded("as asked");
    let routes = Router::new().route("/tea/{leaf}", axum::routing::get(async || "brewed"));
    let address = (loopback(0), &CallerSettings::default());
    let serving = lifecycle.serve(address, Guarded::public(routes), Limits::default());
    let running = serving.await.unwrap().registered();
    let url = format!("http://{}/tea/7", running.local_addr());
    assert_eq!(reqwest::get(url).await.unwrap().status(), StatusCode::OK);

    let text = metrics(&running).await;
    for line in [
        "service_check_state{check=\"broken\"} 0",
        "service_check_state{check=\"sick\"} 1",
        "http_server_request_duration_seconds_count{http_request_method=\"GET\",\
         http_response_status_code=\"200\",http_route=\"/tea/{leaf}\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is missing in {text}");
    }
    broken.up();
    let text = metrics(&running).await;
    assert!(text.contains("service_check_state{check=\"broken\"} 2\n"), "{text}");
}
