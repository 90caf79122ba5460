//! The HTTP server: one call that binds, limits, traces and stops in order.

use std::{future::IntoFuture, net::SocketAddr, pin::pin, time::Duration};

use anyhow::Context;
use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    serve::ListenerExt,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{
    ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{health::Health, run::Shutdown};

mod layers;
mod trace;

/// How long open requests may take to finish once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What one server takes on at a time. `/health/*` is outside these limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes; 413 above it. Bodies are read whole before the handler
    /// runs, so this times `in_flight_max` bounds the memory that they take.
    pub body_bytes_max: usize,
    /// Most requests at a time; 503 with `Retry-After` above it. A request counts until its
    /// response starts, so an open event stream does not.
    pub in_flight_max: usize,
    /// Longest time until the response starts; 503 after it.
    pub request_timeout: Duration,
}

impl Default for Limits {
    /// 64 KiB, 512 requests, 65 s: time enough for a client that waits for a minute.
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
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

/// Serves `routes` and `/health/*` on `addr` (port 0: any free one) until `shutdown`, and then for
/// at most 5 s more, so that open requests can finish.
///
/// Every error that a client sees is problem+json: also unknown paths and methods, bodies that are
/// too large, overload, timeouts and panics. Each request is a span in the trace that its
/// `traceparent` names, and is measured as `http.server.request.duration`.
///
/// # Errors
/// Fails if the address cannot be listened on; the message names the setting to change.
pub async fn serve(
    addr: SocketAddr,
    routes: Router,
    health: &Health,
    limits: Limits,
    shutdown: Shutdown,
) -> anyhow::Result<BoundServer> {
    let listener = TcpListener::bind(addr).await.with_context(|| {
        format!("cannot listen on {addr}; stop what uses it or set HTTP_ADDR to another address")
    })?;
    let local_addr = listener.local_addr().context("the listener has no address")?;
    let app = health
        .router()
        .fallback_service(limited(routes, &limits))
        .layer(from_fn(layers::every_error_is_a_problem));
    // Answers are small and awaited by someone, so they are never held back to be coalesced.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let task = tokio::spawn(async move {
        let mut server = pin!(server);
        tokio::select! {
            // It retries failed accepts by itself, so there is no error to report.
            _ = &mut server => {}
            () = grace_is_over(&shutdown) => {
                tracing::warn!("requests still open after {} s are cut off", GRACE.as_secs());
            }
        }
    });
    tracing::info!("listening on http://{local_addr}");
    Ok(BoundServer { local_addr, task })
}

async fn grace_is_over(shutdown: &Shutdown) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Wraps the routes in the layers; the first is the innermost.
fn limited(routes: Router, limits: &Limits) -> Router {
    let timeout = limits.request_timeout;
    // From the outside in. Load is shed at once, rather than queued until it is too late anyway.
    let admission = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(move |error: BoxError| layers::not_admitted(error, timeout)))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(limits.in_flight_max))
        .layer(TimeoutLayer::new(timeout));
    routes
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(limits.body_bytes_max, layers::read_body))
        .layer(admission)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(trace::Meter::new(), trace::trace))
}
