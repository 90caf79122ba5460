//! The HTTP edge without a wait: what becomes a command, and what is answered at once.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use contracts::orders::OrderCommand;
use orders::{
    adapters,
    http::{
        self, App, CommandLog, Sent,
        admission::{Admission, Bounds},
        router,
        waiters::Waiters,
    },
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use service_kit::{Callers, Health, Metrics, Shutdown};
use streams::lineage::Cause;
use streams_kafka::SendError;
use tokio::sync::watch;

use crate::fixtures;

pub(crate) const WAITERS_MAX: usize = 2;

type React = Box<dyn Fn(&OrderCommand) + Send + Sync>;

/// A command log in memory. It can be away, and a test may react to its records.
#[derive(Default)]
pub(crate) struct MemoryLog {
    pub(crate) commands: Mutex<Vec<OrderCommand>>,
    away: AtomicBool,
    react: Mutex<Option<React>>,
    /// Whether it takes its time, and how many wait for that.
    stalls: watch::Sender<bool>,
    stalled: AtomicUsize,
}

impl MemoryLog {
    /// Acknowledge nothing until it goes on.
    pub(crate) fn stall(&self) {
        self.stalls.send_replace(true);
    }

    pub(crate) fn go_on(&self) {
        self.stalls.send_replace(false);
    }

    /// How many commands have waited, or do.
    pub(crate) fn stalled(&self) -> usize {
        self.stalled.load(Ordering::Relaxed)
    }
}

impl CommandLog for MemoryLog {
    fn send<'a>(&'a self, command: &'a OrderCommand, _: Cause) -> Sent<'a> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(SendError::Unavailable("no broker".into()));
            }
            let mut stalls = self.stalls.subscribe();
            if *stalls.borrow_and_update() {
                self.stalled.fetch_add(1, Ordering::Relaxed);
                stalls.wait_for(|stalls| !stalls).await.unwrap();
            }
            self.commands.lock().unwrap().push(command.clone());
            if let Some(react) = &*self.react.lock().unwrap() {
                react(command);
            }
            Ok(())
        })
    }
}

/// The edge on a port of its own.
pub(crate) struct Edge {
    address: SocketAddr,
    client: Client,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) waiters: Waiters,
    pub(crate) admission: Admission,
    pub(crate) shutdown: Shutdown,
}

/// As by default.
pub(crate) const BOUNDS: Bounds = Bounds { wait: Duration::from_secs(2), open_min: 100 };

impl Edge {
    pub(crate) async fn start() -> Self {
        Self::start_for(Callers::open()).await
    }

    /// The edge for `callers`.
    pub(crate) async fn start_for(callers: Callers) -> Self {
        Self::with(http::admission(BOUNDS, &http::limits(WAITERS_MAX)), &callers).await
    }

    /// An edge with this admission.
    pub(crate) async fn admitting(admission: Admission) -> Self {
        Self::with(admission, &Callers::open()).await
    }

    async fn with(admission: Admission, callers: &Callers) -> Self {
        let (log, shutdown) = (Arc::new(MemoryLog::default()), Shutdown::new());
        let waiters = Waiters::new(WAITERS_MAX);
        let app = App {
            catalog: fixtures::catalog(),
            commands: log.clone(),
            waiters: waiters.clone(),
            admission: admission.clone(),
            view_url: "http://view".into(),
            shutdown: shutdown.clone(),
        };
        let address = serve(app, callers).await;
        Self { address, client: Client::new(), log, waiters, admission, shutdown }
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address))
    }

    pub(crate) fn order(&self, body: &Value) -> RequestBuilder {
        self.post("/orders").json(body)
    }

    pub(crate) fn react(&self, react: impl Fn(&OrderCommand) + Send + Sync + 'static) {
        *self.log.react.lock().unwrap() = Some(Box::new(react));
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn sent(&self) -> Vec<OrderCommand> {
        self.log.commands.lock().unwrap().clone()
    }
}

async fn serve(app: App, callers: &Callers) -> SocketAddr {
    let (shutdown, health) = (app.shutdown.clone(), Health::new());
    let any = "127.0.0.1:0".parse().unwrap();
    let routes = router(app).unwrap();
    let told = (&health, &Metrics::default(), callers);
    let limits = http::limits(WAITERS_MAX);
    let server = service_kit::serve(any, routes, told, limits, shutdown).await;
    server.unwrap().local_addr()
}

pub(crate) fn tea_and_mug() -> Value {
    json!({"customer_id": "ada",
        "lines": [{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 1}]})
}

pub(crate) async fn body(response: Response) -> Value {
    response.json().await.unwrap()
}

#[tokio::test]
async fn the_page_of_the_view_may_send_commands_from_a_browser_and_no_other_page() {
    let edge = Edge::start().await;
    let allowed = |response: &Response| {
        let origin = response.headers().get("access-control-allow-origin");
        origin.map(|origin| origin.to_str().unwrap().to_owned())
    };
    for (origin, expected) in [("http://view", Some("http://view")), ("http://elsewhere", None)] {
        let preflight = edge
            .client
            .request(Method::OPTIONS, format!("http://{}/orders", edge.address))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,idempotency-key");
        let response = preflight.send().await.unwrap();
        assert_eq!(allowed(&response).as_deref(), expected, "preflight from {origin}");
        let headers = response.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(headers.contains("idempotency-key") && headers.contains("content-type"));
    }
    let response = edge.order(&tea_and_mug()).header("origin", "http://view").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(allowed(&response).as_deref(), Some("http://view"));
}

#[tokio::test]
async fn an_order_becomes_a_command() {
    let edge = Edge::start().await;
    let response = edge.order(&tea_and_mug()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body = body(response).await;
    let [OrderCommand::PlaceOrder(command)] = &edge.sent()[..] else {
        panic!("not one PlaceOrder")
    };
    assert_eq!(body["order_id"], command.order_id.to_string());
    assert_eq!(body["command_id"], command.command_id.to_string());
    assert_eq!(location, format!("http://view/orders/{}", command.order_id));
    assert_eq!(command.lines, fixtures::lines(&[("TEA", 2), ("MUG", 1)]));
}

#[tokio::test]
async fn the_same_key_gives_the_same_order_and_with_the_same_body_the_same_command() {
    let edge = Edge::start().await;
    // Blanks and the order of members make no difference.
    let same = r#"{ "lines":[{"quantity":2,"sku":"TEA"},{"sku":"MUG","quantity":1}],
        "customer_id":"ada"}"#;
    let other = json!({"customer_id": "ada", "lines": [{"sku": "TEA", "quantity": 3}]});
    for body in [tea_and_mug().to_string(), same.to_owned(), other.to_string()] {
        let request = edge.post("/orders").header("content-type", "application/json").body(body);
        let response = request.header("Idempotency-Key", "k-1").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
    let [first, second, third] = edge.sent().try_into().unwrap();
    assert_eq!(first.order_id(), third.order_id());
    assert_eq!(first.command_id(), second.command_id());
    assert_ne!(first.command_id(), third.command_id());
}

#[tokio::test]
async fn a_note_goes_into_the_command_and_without_one_the_command_is_what_it_always_was() {
    let edge = Edge::start().await;
    let noted = |note: Value| {
        let mut body = tea_and_mug();
        body["note"] = note;
        body
    };
    let bodies = [tea_and_mug(), noted(json!("")), noted(json!("ring twice\n\tthen wait"))];
    for body in bodies {
        let response = edge.order(&body).header("Idempotency-Key", "k-1").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
    let [bare, empty, noted] = edge.sent().try_into().unwrap();
    // Of the canonical body as it was before there were notes: a retry over an upgrade is a retry.
    assert_eq!(bare.command_id().to_string(), "2b0de0de-71d8-585f-b584-7fbee0e003f8");
    assert_eq!(bare.command_id(), empty.command_id());
    assert_ne!(bare.command_id(), noted.command_id());
    let OrderCommand::PlaceOrder(command) = noted else { panic!("not a PlaceOrder") };
    assert_eq!(command.note.as_str(), "ring twice\n\tthen wait");
}

#[tokio::test]
async fn what_is_no_note_is_refused_with_the_field_the_limit_and_what_was_given() {
    let edge = Edge::start().await;
    let long = "ä".repeat(501);
    for (note, detail) in [
        (json!(long), "a note has at most 500 characters, this one has 501"),
        (json!("ring\r\ntwice"), "'\\r' at character 5 is a control character"),
        (json!("\u{0}"), "'\\0' at character 1 is a control character"),
        (json!("\u{1b}[2J"), "'\\u{1b}' at character 1 is a control character"),
        (json!(7), "expected a string"),
    ] {
        let mut order = tea_and_mug();
        order["note"] = note;
        let response = edge.order(&order).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{detail}");
        let problem = body(response).await;
        assert_eq!(problem["errors"][0]["field"], "note", "{problem}");
        let told = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{told}");
    }
    assert_eq!(edge.sent(), [], "none of them became a command");
}

#[tokio::test]
async fn a_cancellation_becomes_a_command() {
    let edge = Edge::start().await;
    let id = fixtures::order_id(7);
    let response = edge.post(&format!("/orders/{id}/cancellation")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["location"], format!("http://view/orders/{id}"));
    let [OrderCommand::CancelOrder(command)] = &edge.sent()[..] else {
        panic!("not one CancelOrder")
    };
    assert_eq!(body(response).await["command_id"], command.command_id.to_string());
    assert_eq!(command.order_id, id);
}

/// Posts `body`; gives the status and `field/code` of each error.
async fn refused(edge: &Edge, body: String) -> (u16, Vec<String>) {
    let request = edge.post("/orders").header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
    (status, errors.iter().map(|e| text(e, "field") + "/" + &text(e, "code")).collect())
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let edge = Edge::start().await;
    let order = |lines: &str| format!(r#"{{"customer_id":"ada","lines":[{lines}]}}"#);
    let one =
        |sku: &str, quantity: &str| order(&format!(r#"{{"sku":{sku},"quantity":{quantity}}}"#));
    let many = vec![r#"{"sku":"TEA","quantity":1}"#; 51].join(",");
    let nobody = r#"{"customer_id":"nobody","lines":[{"sku":"NONE","quantity":0}]}"#;
    for (body, status, errors) in [
        ("{".to_owned(), 400, &[][..]),
        (order(&many), 422, &["lines/out_of_range"]),
        (order(""), 422, &["lines/out_of_range"]),
        (one("\"TEA\"", "0"), 422, &["lines[0].quantity/out_of_range"]),
        (one("\"TEA\"", "-1"), 422, &["lines[0].quantity/out_of_range"]),
        (one("\"TEA\"", "9000000000"), 422, &["lines[0].quantity/out_of_range"]),
        (one("\"TEA\"", "-9000000000"), 422, &["lines[0].quantity/out_of_range"]),
        (one("\"TEA\"", "1.5"), 422, &["lines[0].quantity/invalid"]),
        (one("\"TEA\"", "\"1\""), 422, &["lines[0].quantity/invalid"]),
        (one("\"T/A\"", "1"), 422, &["lines[0].sku/invalid"]),
        (one("\"NONE\"", "1"), 422, &["lines[0].sku/unknown_sku"]),
        (r#"{"customer_id":"ada"}"#.to_owned(), 422, &["lines/missing"]),
        (r#"{"customer_id":"ada","lines":[],"price":1}"#.to_owned(), 422, &["price/unknown"]),
        (
            order(r#"{"sku":"TEA","quantity":1,"unit_price_minor":1}"#),
            422,
            &["lines[0].unit_price_minor/unknown"],
        ),
        (
            nobody.to_owned(),
            422,
            &[
                "customer_id/unknown_customer",
                "lines[0].quantity/out_of_range",
                "lines[0].sku/unknown_sku",
            ],
        ),
        ("x".repeat(1024 * 1024), 413, &[]),
    ] {
        let shown: String = body.chars().take(80).collect();
        let told = refused(&edge, body).await;
        assert_eq!(told, (status, errors.iter().map(|e| e.to_string()).collect()), "{shown}");
    }
    assert!(edge.sent().is_empty(), "nothing that is wrong becomes a command");
}

#[tokio::test]
async fn ids_and_keys_that_are_none_are_named() {
    let edge = Edge::start().await;
    let response = edge.post("/orders/seven/cancellation").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(response).await["errors"][0]["field"], "id");
    let response = edge.order(&tea_and_mug()).header("Idempotency-Key", "two words").send().await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body(response).await["errors"][0]["field"], "Idempotency-Key");
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn without_kafka_a_client_is_told_to_come_again() {
    let edge = Edge::start().await;
    edge.log.away.store(true, Ordering::Relaxed);
    let response = edge.order(&tea_and_mug()).header("Prefer", "wait=9").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(edge.waiters.count(), 0, "whose command is not sent does not wait");
}

#[tokio::test]
async fn before_the_catalog_is_read_nobody_is_told_that_a_product_does_not_exist() {
    let codec = streams::Codec::new(Arc::new(streams::MemoryRegistry::default()));
    let shutdown = Shutdown::new();
    // Nothing listens there, so the tables are never read.
    let (catalog, threads) = adapters::catalog::follow("127.0.0.1:1", 0, &codec, &shutdown);
    let edge = Edge::start().await;
    let app = App {
        catalog,
        commands: edge.log.clone(),
        waiters: edge.waiters.clone(),
        admission: edge.admission.clone(),
        view_url: "http://view".into(),
        shutdown: shutdown.clone(),
    };
    let edge = Edge { address: serve(app, &Callers::open()).await, ..edge };
    let response = edge.order(&tea_and_mug()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    shutdown.cancel();
    for thread in threads {
        thread.stopped().await.unwrap();
    }
}

#[tokio::test]
async fn the_document_describes_both_commands() {
    let edge = Edge::start().await;
    let url = format!("http://{}/openapi.json", edge.address);
    let document: Value = edge.client.get(url).send().await.unwrap().json().await.unwrap();
    let paths = &document["paths"];
    assert!(paths["/orders"]["post"]["responses"]["201"].is_object(), "{document:#}");
    assert!(paths["/orders/{id}/cancellation"]["post"]["responses"]["200"].is_object());
    let line = &document["components"]["schemas"]["RequestedLine"]["properties"];
    assert_eq!(line["quantity"]["maximum"], 1000);
}
