//! HTTP requests, through all layers of a service's server. An input is the text of a request:
//!
//! ```text
//! POST /orders
//! content-type: application/json
//!
//! {"customer_id":"ada","lines":[{"sku":"TEA","quantity":2}]}
//! ```
//!
//! No answer may be a 500, and each error is a problem (RFC 9457).

use crate::seeds;
use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, Uri, header},
};
use contracts::{
    Reason, Sku,
    orders::{CommandRefused, OrderCommand},
};
use http_body_util::BodyExt;
use orders::{
    catalog::Catalog,
    http::{CommandLog, Sent, admission::Bounds, waiters::Waiters},
};
use serde_json::Value;
use service_kit::{Callers, Guarded, Health, Limits, Metrics, Shutdown};
use std::{str::from_utf8, sync::Arc, time::Duration};
use streams::{Codec, GlobalTable, MemoryRegistry, lineage::Cause};
use streams_kafka::Sender;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use view::{
    adapters::Postgres,
    feed::Feed,
    freshness::Freshness,
    http::{LastBatons, OrderLooks, Page, Streams},
    rebuild::Rebuilds,
};

/// Largest answer that is read, in bytes: a stream has no end.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A service's server, without sockets.
struct Server {
    runtime: Runtime,
    app: Router,
}

impl Server {
    fn new(routes: impl FnOnce(&Runtime) -> Guarded) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let routes = routes(&runtime);
        let (health, metrics) = (Health::new(), Metrics::default());
        let app =
            service_kit::app(routes, (&health, &metrics, &Callers::open()), &Limits::default());
        Self { runtime, app }
    }

    /// Asks, and judges the answer.
    fn ask(&self, bytes: &[u8]) {
        let Some(request) = request(bytes) else { return };
        let asked = format!("{} {}", request.method(), request.uri());
        let is_get = request.method() == Method::GET;
        let answer = self.runtime.block_on(self.app.clone().oneshot(request));
        let answer = answer.expect("a router always answers");
        let status = answer.status();
        assert!(status.as_u16() != 500, "{asked}: 500");
        let media_type = answer.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.map(|value| value.to_str().expect("a media type is text"));
        let media_type = media_type.unwrap_or_default().to_owned();
        if media_type == "text/event-stream" {
            return;
        }
        let body = self.runtime.block_on(answer.into_body().collect());
        let body = body.expect("the body is in memory").to_bytes();
        assert!(body.len() <= ANSWER_BYTES_MAX, "{asked}: {} bytes", body.len());
        if status.is_client_error() || status.is_server_error() {
            // HEAD has no body.
            if body.is_empty() && !is_get {
                return;
            }
            assert_eq!(media_type, "application/problem+json", "{asked}: {status}");
            let problem: Value = serde_json::from_slice(&body).expect("a problem is JSON");
            assert_eq!(problem["status"], status.as_u16(), "{asked}");
            assert!(problem["code"].is_string() && problem["title"].is_string(), "{problem}");
        }
    }
}

/// The request that is written so, if it could come over HTTP.
fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(target.parse::<Uri>().ok()?)
        .header(header::HOST, "shop");
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request =
            request.header(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    request.body(Body::from(body.to_vec())).ok()
}

macro_rules! server {
    ($routes:expr) => {{
        thread_local! {
            static SERVER: Server = Server::new($routes);
        }
        |bytes: &[u8]| SERVER.with(|server| server.ask(bytes))
    }};
}

/// A log whose reader refuses every command at once, so that no request waits.
struct Refusing(Waiters);

impl CommandLog for Refusing {
    fn send<'a>(&'a self, command: &'a OrderCommand, _: Cause) -> Sent<'a> {
        self.0.on_refusal(CommandRefused {
            customer_id: None,
            command_id: command.command_id(),
            order_id: command.order_id(),
            command: command.name().to_owned(),
            reasons: vec![Reason::new("a test", "refused", "it is refused")],
            order_version: None,
            refused_at: seeds::NOW,
        });
        Box::pin(async { Ok(()) })
    }
}

/// A request to orders.
pub(crate) fn orders(bytes: &[u8]) {
    server!(|_| {
        let waiters = Waiters::new(8);
        let bounds = Bounds { wait: Duration::MAX, open_min: usize::MAX };
        let app = orders::http::App {
            catalog: Catalog::fixed([seeds::product()], [seeds::customer()]),
            commands: Arc::new(Refusing(waiters.clone())),
            waiters,
            admission: orders::http::admission(bounds, &Limits::default()),
            view_url: "http://view".into(),
            shutdown: Shutdown::new(),
        };
        orders::http::router(app).expect("its document can be written")
    })(bytes);
}

/// A request to inventory, whose catalog is empty: so it never sends.
pub(crate) fn inventory(bytes: &[u8]) {
    server!(|_| {
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        let commands = Sender::new("127.0.0.1:1", codec).expect("a sender needs no Kafka to begin");
        let products = GlobalTable::fixed(Vec::<(Sku, _)>::new());
        let app = inventory::http::App { products, commands };
        inventory::http::router(app).expect("its document can be written")
    })(bytes);
}

/// A request to the view, whose database is away: what is right is a 503.
pub(crate) fn view(bytes: &[u8]) {
    server!(|runtime| {
        let _inside = runtime.enter();
        let url = "postgres://nowhere".parse().expect("it is a URL");
        let database = Postgres::new(&url).database().clone();
        runtime.block_on(database.pool().close());
        let (streams, _) = Streams::new(8);
        let app = view::http::App {
            feed: Feed::new(database.clone()),
            database,
            waiters: service_kit::Waiters::new(8),
            looks: OrderLooks::default(),
            streams,
            batons: LastBatons::default(),
            page: Page::new("http://orders", None).expect("it is a URL"),
            freshness: Freshness::default(),
            rebuilds: Rebuilds::default(),
            shutdown: Shutdown::new(),
        };
        view::http::router(app).expect("its document can be written")
    })(bytes);
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn orders_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "POST /orders\ncontent-type: application/json\n\n\
         {\"customer_id\":\"ada\",\"lines\":[{\"sku\":\"TEA\",\"quantity\":2}],\"note\":\"ring\"}",
        "POST /orders\ncontent-type: application/json; charset=utf-8\nidempotency-key: k-1\n\
         prefer: respond-async, wait=10; why=\"x\"\n\n\
         {\"customer_id\":\"ada\",\"lines\":[{\"sku\":\"TEA\",\"quantity\":2.0}]}",
        "POST /orders\ncontent-type: application/vnd.shop+json\ncontent-encoding: gzip\n\n{}",
        "POST /orders/00000000-0000-0000-0000-000000000001/cancellation\nidempotency-key: k-2\n",
        "POST /orders/00000000-0000-0000-0000-000000000001/cancellation\nprefer: wait=5\n",
        "OPTIONS /orders\norigin: http://view\naccess-control-request-method: POST\n\
         access-control-request-headers: content-type,idempotency-key\n",
        "GET /health/ready\naccept: text/html\n",
        "GET /metrics\n",
        "GET /openapi.json\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        "GET /docs/\n",
    ])
}

pub(crate) fn inventory_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "POST /stock/TEA/restock\ncontent-type: application/json\n\n{\"quantity\":5}",
        "POST /stock/TEA/restock\ncontent-type: application/json\n\n\
         {\"quantity\":5,\"command_id\":\"00000000-0000-0000-0000-000000000001\"}",
        "POST /stock/%54EA/restock\ncontent-type: application/json\n\n{\"quantity\":1e3}",
        "GET /openapi.json\n",
    ])
}

pub(crate) fn view_seeds() -> Vec<Vec<u8>> {
    const ORDER: &str = "/orders/00000000-0000-0000-0000-000000000001";
    let of_order = [
        "?wait=settled&timeout=10",
        "?wait=validated&min_version=2&timeout=0",
        "?version=2",
        "?at=2026-11-21T10:12:38.253Z",
        "/timeline?min_version=3&timeout=10",
        "/events?after=2",
        "/events\nlast-event-id: refused",
    ];
    let mut made: Vec<_> =
        of_order.iter().map(|rest| format!("GET {ORDER}{rest}\n").into_bytes()).collect();
    made.extend(texts(&[
        "GET /\naccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\n",
        "GET /\nif-none-match: W/\"a\", \"b\"\n",
        "GET /events?after=0:12,1:-1,2:7\n",
        "GET /events?latest=10\nlast-event-id: 0:12,1:-1,2:7\n",
        "GET /customers?limit=10&after=ada\n",
        "GET /customers/ada/orders?limit=10&before=00000000-0000-0000-0000-000000000001\n",
        "GET /products?limit=1000&after=TEA\n",
        "GET /products/%54EA\n",
        "GET /sales?limit=1\n",
        "GET /topology\nif-none-match: *\n",
        "GET /views\n",
        "GET /views/order\n",
        "DELETE /views/order\n",
        "POST /views/order/rebuild\n",
        "GET /questions\n",
        "GET /questions/stuck-orders?seconds=5&limit=10\n",
        "GET /questions/low-stock?pieces=10\n",
        "GET /app.js\n",
    ]));
    made
}
