//! Goal: every task and thread of the service is a health check, and is awaited when it stops, also
//! while nothing that it needs is there.

use clap::Parser;
use contracts::{ServiceName, metrics::strangers};
use service_kit::Shutdown;
use std::net::SocketAddr;
use testkit::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn every_part_is_a_check_and_is_awaited() {
    let state = tempfile::tempdir().unwrap();
    // No process listens on port 1.
    let config = orders::config::Config::parse_from([
        "orders",
        "--http-addr=127.0.0.1:0",
        "--kafka-bootstrap=127.0.0.1:1",
        "--schema-registry-url=http://127.0.0.1:1",
        &format!("--state-dir={}", state.path().display()),
    ]);
    let shutdown = Shutdown::new();
    let running = orders::service::start(&config, shutdown.clone()).await.unwrap();
    wait_for("the parts to wait", PATIENCE, || parts_wait(running.local_addr())).await;
    wait_for("the metrics", PATIENCE, || measured(running.local_addr())).await;
    shutdown.cancel();
    let stopped = tokio::time::timeout(PATIENCE, running.stopped()).await;
    stopped.expect("it ends").expect("each part ends in time, and well");
}

/// What it shows is in the table, and nothing has happened yet.
async fn measured(address: SocketAddr) -> Result<(), String> {
    let text = testkit::metrics(address);
    assert_eq!(strangers(ServiceName::Orders, &text), Vec::<String>::new());
    let value = testkit::metric(&text, "service_check_state{check=\"start-up\"}");
    if value == Some(0.0) { Ok(()) } else { Err(text) }
}

async fn parts_wait(address: SocketAddr) -> Result<(), String> {
    let report = testkit::get(address, "/health/ready").unwrap();
    let is_down = |part: &str| report.contains(&format!(r#"{{"name":"{part}","status":"down""#));
    match ["catalog.products", "catalog.customers", "outcomes", "start-up", "schemas"]
        .into_iter()
        .all(is_down)
    {
        true => Ok(()),
        false => Err(report),
    }
}
