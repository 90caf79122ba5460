//! The HTTP server: one call that binds, limits, traces and stops in order.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{
    ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    callers::{Callers, Guarded},
    health::Health,
    metrics::Metrics,
    run::Shutdown,
};

mod connections;
mod descriptors;
mod layers;
mod trace;

/// How long open requests may take to finish once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What one server takes on at a time. `/health/*` and `/metrics` are outside these limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes; 413 above it. Bodies are read whole before the handler
    /// runs, so this times `in_flight_max` bounds the memory that they take.
    pub body_bytes_max: usize,
    /// Longest time that a body may take to arrive; 408 after it. It is for all of the body, so it
    /// is a least pace as well: 64 KiB in 15 s are 4.3 KiB/s.
    pub body_timeout: Duration,
    /// Most requests at a time; 503 with `Retry-After` above it. A request counts from when it has
    /// arrived whole until its response starts: neither half a request nor an open event stream
    /// does. There are at most [`CONNECTIONS_PER_REQUEST`] times as many connections.
    pub in_flight_max: usize,
    /// Longest time from when the request has arrived until the response starts; 503 after it.
    pub request_timeout: Duration,
}

/// Connections that may be open for each request that may be in flight. Most of a client's are
/// idle.
const CONNECTIONS_PER_REQUEST: usize = 2;

impl Default for Limits {
    /// 64 KiB in 15 s, 512 requests, 65 s: time enough for a client that waits for a minute.
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(15),
            in_flight_max: 512,
            request_timeout: Duration::from_secs(65),
        }
    }
}

/// A server that listens. It goes on serving if this handle is dropped.
#[derive(Debug)]
pub struct BoundServer {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl BoundServer {
    /// The address that it listens on: with the real port, if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the server has stopped, which it does only when asked to.
    ///
    /// # Errors
    /// Fails if the server was killed by a panic or with the runtime.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.task.await.context("the HTTP server has died")
    }
}

/// Serves `routes`, `/health/*` and `/metrics` on `addr` (port 0: any free one) until `shutdown`,
/// and then for at most 5 s more, so that open requests can finish.
///
/// `callers` judges who may call which of them. What a page sends to change something is refused
/// unless it is one of the server's own, or of [`Guarded::for_the_page_at`].
///
/// Every error that a client sees is problem+json: also unknown paths and methods, bodies that are
/// too large, overload, timeouts and panics. Each request is a span in the trace that its
/// `traceparent` names, and is measured as `http.server.request.duration`.
///
/// # Errors
/// Fails if the address cannot be listened on; the message names the setting to change.
pub async fn serve(
    addr: SocketAddr,
    routes: Guarded,
    (health, metrics, callers): (&Health, &Metrics, &Callers),
    limits: Limits,
    shutdown: Shutdown,
) -> anyhow::Result<BoundServer> {
    let listener = TcpListener::bind(addr).await.with_context(|| {
        format!("cannot listen on {addr}; stop what uses it or set HTTP_ADDR to another address")
    })?;
    let local_addr = listener.local_addr().context("the listener has no address")?;
    let app = app(routes, (health, metrics, callers), &limits);
    let connections_max = limits.in_flight_max.saturating_mul(CONNECTIONS_PER_REQUEST);
    let connections_max = descriptors::make_room_for(connections_max);
    let task = tokio::spawn(connections::serve(listener, app, connections_max, shutdown, GRACE));
    tracing::info!(
        body_bytes_max = limits.body_bytes_max,
        body_timeout_ms = limits.body_timeout.as_millis(),
        in_flight_max = limits.in_flight_max,
        request_timeout_ms = limits.request_timeout.as_millis(),
        connections_max,
        "limits of the server"
    );
    tracing::info!("listening on http://{local_addr}");
    Ok(BoundServer { local_addr, task })
}

/// Serves `routes` for `callers` on a free port of the loopback interface, and gives its base URL:
/// for a test of the routes alone.
///
/// # Panics
/// When it cannot listen.
pub async fn try_out(routes: Guarded, callers: &Callers) -> String {
    let (health, metrics) = (Health::new(), Metrics::default());
    let told = (&health, &metrics, callers);
    let server =
        serve((Ipv4Addr::LOCALHOST, 0).into(), routes, told, Limits::default(), Shutdown::new());
    let server = server.await.expect("there is a free port");
    format!("http://{}", server.local_addr())
}

/// What [`serve`] answers with: `routes` within `limits`, `/health/*` and `/metrics`.
pub fn app(
    routes: Guarded,
    (health, metrics, callers): (&Health, &Metrics, &Callers),
    limits: &Limits,
) -> Router {
    let numbers = Guarded::all(callers.metrics_access(), metrics.router());
    health
        .router()
        .merge(numbers.judged_by(callers.clone()))
        .fallback_service(limited(routes.judged_by(callers.clone()), limits, metrics))
        .layer(from_fn(layers::every_error_is_a_problem))
}

/// Wraps the routes in the layers; the first is the innermost.
fn limited(routes: Router, limits: &Limits, metrics: &Metrics) -> Router {
    let timeout = limits.request_timeout;
    // From the outside in. Load is shed at once, rather than queued until it is too late anyway.
    let admission = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(move |error: BoxError| layers::not_admitted(error, timeout)))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(limits.in_flight_max))
        .layer(TimeoutLayer::new(timeout));
    // A body is read before its request is admitted: one that does not come holds no place.
    routes
        .layer(DefaultBodyLimit::disable())
        .layer(admission)
        .layer(from_fn(connections::serving))
        .layer(from_fn_with_state(limits.clone(), layers::read_body))
        .layer(from_fn(layers::refuse_odd_heads))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(metrics.meters(), trace::trace))
}
