//! Goal: a trace goes through a service: in by its `traceparent`, out by the headers it sends on.

use axum::{Router, routing::get};
use service_kit::{
    Callers, Guarded, Health, Limits, LogFormat, Metrics, Shutdown, Telemetry, config::loopback,
    telemetry::trace_headers,
};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn traceparent_sent_on() -> String {
    let headers = trace_headers();
    headers["traceparent"].to_str().expect("a traceparent is ASCII").to_owned()
}

#[test]
fn a_request_continues_the_trace_of_its_caller() {
    let telemetry = Telemetry::start("test", 0, LogFormat::Json);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let routes = Router::new().route("/", get(traceparent_sent_on));
        let (health, metrics) = (Health::new(), Metrics::of_process());
        let open = Callers::open();
        let (told, limits) = ((&health, &metrics, &open), Limits::default());
        let server =
            service_kit::serve(loopback(0), Guarded::public(routes), told, limits, Shutdown::new());
        let url = format!("http://{}/", server.await.unwrap().local_addr());
        let request = reqwest::Client::new().get(url);
        let request = request.header("traceparent", format!("00-{TRACE_ID}-{CALLER}-01"));
        request.send().await.unwrap().text().await.unwrap()
    });
    let parts: Vec<_> = answer.split('-').collect();
    assert_eq!(parts[1], TRACE_ID, "{answer}");
    assert_ne!(parts[2], CALLER, "the request has a span of its own: {answer}");
    telemetry.shutdown();
}
