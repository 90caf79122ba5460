//! Goal: what a client on the other end of a real connection sees of the server's limits, errors
//! and shutdown.

use std::{sync::Arc, time::Duration};
use testkit::PATIENCE;

use axum::{Router, routing::get, routing::post};
use reqwest::{Client, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::{
    BoundServer, Callers, Guarded, Health, Limits, Metrics, Shutdown, ValidJson, ValidPath,
    config::loopback,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

struct Server {
    url: String,
    shutdown: Shutdown,
    bound: BoundServer,
    health: Health,
    /// Each request to /wait takes a permit from `released` after it has added one to `entered`.
    entered: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Line {
    quantity: u32,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let (shutdown, health) = (Shutdown::new(), Health::new());
        let (entered, released) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (enter, release) = (Arc::clone(&entered), Arc::clone(&released));
        let wait = move || async move {
            enter.add_permits(1);
            let permit = release.acquire().await.expect("the semaphore is never closed");
            permit.forget();
            "done"
        };
        let routes = Router::new()
            .route(
                "/lines",
                post(|ValidJson(line): ValidJson<Line>| async move { line.quantity.to_string() }),
            )
            .route("/raw", post(|body: String| async move { body.len().to_string() }))
            .route(
                "/lines/{number}",
                get(|ValidPath(number): ValidPath<u8>| async move { number.to_string() }),
            )
            .route("/wait", get(wait))
            .route("/panic", get(panics));
        let (metrics, stop) = (Metrics::default(), shutdown.clone());
        let (routes, open) = (Guarded::public(routes), Callers::open());
        let told = (&health, &metrics, &open);
        let bound = service_kit::serve(loopback(0), routes, told, limits, stop);
        let bound = bound.await.expect("a free port can be bound");
        let url = format!("http://{}", bound.local_addr());
        Self { url, shutdown, bound, health, entered, released }
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    async fn send(&self, method: Method, path: &str, json: Option<String>) -> Response {
        let mut request = Client::new().request(method, format!("{}{path}", self.url));
        if let Some(json) = json {
            request = request.header(header::CONTENT_TYPE, "application/json").body(json);
        }
        request.timeout(PATIENCE).send().await.expect("the server answers")
    }

    /// The answer to a POST that goes on with `rest`, up to the end of the connection.
    async fn answer_to(&self, rest: &str) -> String {
        let mut connection = TcpStream::connect(self.bound.local_addr()).await.expect("it listens");
        let request = format!("POST /raw HTTP/1.1\r\nHost: shop\r\n{rest}");
        connection.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        let read = timeout(PATIENCE, connection.read_to_string(&mut answer)).await;
        read.expect("the server answers and closes").expect("it is text");
        answer
    }

    /// Starts a request to /wait and returns when its handler runs.
    async fn start_waiting(&self) -> tokio::task::JoinHandle<reqwest::Result<Response>> {
        let request = Client::new().get(format!("{}/wait", self.url)).timeout(PATIENCE);
        let waiting = tokio::spawn(request.send());
        let entered = timeout(PATIENCE, self.entered.acquire()).await;
        entered.expect("the handler is reached").expect("never closed").forget();
        waiting
    }
}

async fn panics() -> &'static str {
    panic!("as asked")
}

async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.status().as_u16(), status);
    let body: Value = response.json().await.expect("a problem is JSON");
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{body}");
    body
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_refused_with_the_limit_and_not_with_a_reset() {
    let server = Server::start(Limits::default()).await;
    let body = || Some(format!("\"{}\"", "x".repeat(1024 * 1024)));
    for path in ["/lines", "/raw"] {
        let response = server.send(Method::POST, path, body()).await;
        let problem = problem(response, 413, "body_too_large").await;
        assert_eq!(problem["limit_bytes"], 65_536);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("65536 bytes")));
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends_the_body() {
    let server = Server::start(Limits::default()).await;
    let expect = "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    let answer = server.answer_to(expect).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_without_a_declared_length_is_limited_too() {
    let limits = Limits { body_bytes_max: 4, ..Limits::default() };
    let server = Server::start(limits).await;
    let chunks = "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = server.answer_to(chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_problem() {
    let server = Server::start(Limits::default()).await;
    let answer = server.answer_to("Transfer-Encoding: chunked\r\n\r\nno length\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("unreadable_body"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_and_holds_no_place() {
    let body_timeout = Duration::from_millis(200);
    let limits = Limits { body_timeout, in_flight_max: 1, ..Limits::default() };
    let server = Server::start(limits).await;
    let slow = server.answer_to("Content-Length: 10\r\n\r\nabc");
    let (slow, other) = tokio::join!(slow, server.get("/lines/7"));
    assert!(slow.starts_with("HTTP/1.1 408 ") && slow.contains("body_too_slow"), "{slow}");
    assert_eq!(other.status(), StatusCode::OK, "the one place was free");
}

#[tokio::test]
async fn half_requests_make_room_for_whole_ones() {
    let server = Server::start(Limits { in_flight_max: 2, ..Limits::default() }).await;
    let mut halves = Vec::new();
    for half in
        ["", "GET /lines/7 HT", "POST /raw HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\na"]
    {
        for _ in 0..20 {
            let mut connection = TcpStream::connect(server.bound.local_addr()).await.unwrap();
            connection.write_all(half.as_bytes()).await.unwrap();
            halves.push(connection);
        }
        assert_eq!(server.get("/lines/7").await.status(), StatusCode::OK, "after {half:?}");
        assert_eq!(server.get("/health/live").await.status(), StatusCode::OK, "after {half:?}");
    }
    // Four connections may be open, so nearly all of these are closed.
    let mut closed = 0;
    for mut half in halves {
        let read = timeout(Duration::from_millis(100), half.read(&mut [0; 64])).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= 56, "{closed} of 60 are closed");
}

#[tokio::test]
async fn a_head_that_is_odd_is_a_problem_that_names_the_limit() {
    let server = Server::start(Limits::default()).await;
    let long = format!("/lines/{}", "7".repeat(9_000));
    problem(server.get(&long).await, 414, "target_too_long").await;
    let end = "Connection: close\r\n\r\n";
    let header = format!("X-Long: {}\r\n", "x".repeat(2_000));
    for (headers, status, code) in [
        (header.repeat(20), 431, "headers_too_large"),
        ("X-Many: 1\r\n".repeat(101), 431, "headers_too_large"),
        ("Host: other\r\n".to_owned(), 400, "invalid_host"),
        ("Content-Length: 3\r\nContent-Encoding: gzip\r\n".to_owned(), 415, "unsupported_encoding"),
    ] {
        let body = if status == 415 { "abc" } else { "" };
        let answer = server.answer_to(&format!("{headers}{end}{body}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(code) && answer.contains("application/problem+json"), "{answer}");
    }
    let mut connection = TcpStream::connect(server.bound.local_addr()).await.unwrap();
    connection.write_all(format!("GET /lines/7 HTTP/1.1\r\n{end}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_host"), "{answer}");
}

#[tokio::test]
async fn input_that_does_not_fit_is_named() {
    let server = Server::start(Limits::default()).await;
    let line = |json: &str| server.send(Method::POST, "/lines", Some(json.to_owned()));
    assert_eq!(line(r#"{"quantity":2}"#).await.text().await.unwrap(), "2");
    let wrong = problem(line(r#"{"quantity":"two"}"#).await, 422, "invalid_request").await;
    assert_eq!(wrong["errors"][0]["field"], "quantity");
    let broken = problem(line(r#"{"quantity":2"#).await, 400, "broken_json").await;
    assert_eq!((&broken["line"], &broken["column"]), (&json!(1), &json!(13)));
    let undeclared = server.send(Method::POST, "/lines", None).await;
    problem(undeclared, 415, "unsupported_media_type").await;
    let path = problem(server.get("/lines/many").await, 400, "invalid_path").await;
    assert!(path["detail"].as_str().is_some_and(|detail| detail.contains("many")), "{path}");
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_panics_are_problems_too() {
    let server = Server::start(Limits::default()).await;
    let missing = problem(server.get("/nowhere").await, 404, "not_found").await;
    assert_eq!(missing["detail"], "there is nothing at /nowhere");
    let wrong = server.send(Method::DELETE, "/raw", None).await;
    assert_eq!(wrong.headers()[header::ALLOW], "POST");
    problem(wrong, 405, "method_not_allowed").await;
    problem(server.get("/panic").await, 500, "internal_error").await;
    assert_eq!(server.get("/lines/7").await.text().await.unwrap(), "7", "it goes on serving");
}

#[tokio::test]
async fn above_the_limit_in_flight_requests_are_shed_and_health_still_answers() {
    let server = Server::start(Limits { in_flight_max: 1, ..Limits::default() }).await;
    let waiting = server.start_waiting().await;
    let shed = server.get("/lines/7").await;
    assert_eq!(shed.headers()[header::RETRY_AFTER], "1");
    problem(shed, 503, "overloaded").await;
    assert_eq!(server.get("/health/live").await.status(), StatusCode::OK);
    server.released.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(server.get("/lines/7").await.status(), StatusCode::OK, "the slot is free again");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let request_timeout = Duration::from_millis(20);
    let server = Server::start(Limits { request_timeout, ..Limits::default() }).await;
    let late = server.get("/wait").await;
    assert_eq!(late.headers()[header::RETRY_AFTER], "1");
    problem(late, 503, "timed_out").await;
}

#[tokio::test]
async fn readiness_tells_every_check() {
    let server = Server::start(Limits::default()).await;
    let (kafka, database) = (server.health.check("kafka"), server.health.check("database"));
    kafka.down("waiting for 127.0.0.1:9092");
    database.up();
    let response = server.get("/health/ready").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let expected = json!({"status": "not_ready", "checks": [
        {"name": "kafka", "status": "down", "detail": "waiting for 127.0.0.1:9092"},
        {"name": "database", "status": "up"},
    ]});
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
    kafka.up();
    assert_eq!(server.get("/health/ready").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn shutdown_finishes_open_requests_and_refuses_new_ones() {
    let server = Server::start(Limits::default()).await;
    let waiting = server.start_waiting().await;
    server.shutdown.cancel();
    server.released.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "done");
    let addr = server.bound.local_addr();
    timeout(PATIENCE, server.bound.stopped()).await.expect("it stops").unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let server = Server::start(Limits::default()).await;
    let waiting = server.start_waiting().await;
    server.shutdown.cancel();
    timeout(PATIENCE, server.bound.stopped()).await.expect("the grace period is bounded").unwrap();
    waiting.abort();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_setting() {
    let server = Server::start(Limits::default()).await;
    let addr = server.bound.local_addr();
    let (health, metrics) = (Health::new(), Metrics::default());
    let open = Callers::open();
    let (told, limits) = ((&health, &metrics, &open), Limits::default());
    let second = service_kit::serve(addr, Guarded::default(), told, limits, Shutdown::new());
    let error = format!("{:#}", second.await.unwrap_err());
    assert!(error.contains("HTTP_ADDR") && error.contains(&addr.to_string()), "{error}");
}
