//! Connections: a bound on their number, and on the time of half a request.
//!
//! A connection *serves* from when its request has arrived whole until the response starts. When
//! there is no room for another one, the one that has not served for the longest time is closed. So
//! clients that send half of a request and wait (slowloris), or do not read their answers, make
//! room for those that do; health included.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Extension, Request},
    http::Request as HttpRequest,
    middleware::Next,
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::Instant,
};
use tower::ServiceExt;

use crate::run::Shutdown;

/// Longest time from the first byte that may be read to the last one of the head, and longest time
/// that a connection may be idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes, that is read at all. Below it, `layers` answers with the
/// limits that it has; above it, hyper answers 431 or 414 without a body.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers that are read at all, in the same way.
const HEADERS_MAX: usize = 256;
/// Pause after a failed accept: out of file descriptors, or of memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One connection, as the others see it.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    /// Told when it has to make room.
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    serving: bool,
    /// When it was accepted, or served the last time.
    since: Instant,
}

/// While it lives, the connection serves.
struct Serving(Arc<Connection>);

impl Connection {
    fn new() -> Arc<Self> {
        let state = State { serving: false, since: Instant::now() };
        Arc::new(Self { state: Mutex::new(state), evicted: Notify::new() })
    }

    fn serve(self: Arc<Self>) -> Serving {
        self.state.lock().serving = true;
        Serving(self)
    }

    /// Since when it has not served, if it does not now.
    fn unused_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.serving).then_some(state.since)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        *self.0.state.lock() = State { serving: false, since: Instant::now() };
    }
}

/// Marks the connection of a request that has arrived whole.
pub(super) async fn serving(
    connection: Option<Extension<Arc<Connection>>>,
    request: Request,
    next: Next,
) -> Response {
    let _serving = connection.map(|Extension(connection)| connection.serve());
    next.run(request).await
}

/// Every open connection.
#[derive(Debug)]
struct Connections {
    max: usize,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

/// While it lives, the connection is open.
struct Open {
    all: Arc<Connections>,
    id: u64,
    connection: Arc<Connection>,
}

impl Connections {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Takes another one in, if there is or can be made room.
    fn admit(self: &Arc<Self>) -> Option<Open> {
        if self.open.lock().len() >= self.max && !self.evict() {
            return None;
        }
        let (id, connection) = (self.next.fetch_add(1, Relaxed), Connection::new());
        self.open.lock().insert(id, Arc::clone(&connection));
        Some(Open { all: Arc::clone(self), id, connection })
    }

    /// Closes the connection that has not served for the longest time; false if all of them serve.
    fn evict(&self) -> bool {
        let mut open = self.open.lock();
        let unused = open.iter().filter_map(|(id, one)| Some((one.unused_since()?, *id)));
        let Some((_, id)) = unused.min() else { return false };
        if let Some(victim) = open.remove(&id) {
            victim.evicted.notify_one();
        }
        true
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.id);
    }
}

/// Accepts at most `connections_max` connections and serves `app` on them until `shutdown`; then
/// finishes open requests for `grace` at most.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    connections_max: usize,
    shutdown: Shutdown,
    grace: Duration,
) {
    let all = Connections::new(connections_max);
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                is_failing = false;
                // All of them serve: the client sees its connection closed, and comes again.
                let Some(open) = all.admit() else { continue };
                tasks.spawn(connection((stream, address), open, app.clone(), &graceful));
                while tasks.try_join_next().is_some() {}
            }
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                if !is_failing {
                    tracing::warn!("no connection can be accepted: {error}");
                    is_failing = true;
                }
                all.evict();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still open after {} s are cut off", grace.as_secs());
    }
}

/// The client has gone before it was accepted.
fn is_about_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end. What is not HTTP ends it, which is the client's affair.
fn connection(
    (stream, address): (TcpStream, SocketAddr),
    open: Open,
    app: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    // Answers are small and awaited by a client, so they are never held back to be coalesced.
    let _ = stream.set_nodelay(true);
    let connection = Arc::clone(&open.connection);
    let service = service_fn(move |mut request: HttpRequest<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&connection));
        request.extensions_mut().insert(ConnectInfo(address));
        app.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let served = graceful.watch(served);
    async move {
        tokio::select! {
            _ = served => {}
            () = open.connection.evicted.notified() => {
                tracing::debug!("a connection without a request made room for another one");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_not_served_for_the_longest_time_makes_room() {
        let all = Connections::new(2);
        let (old, new) = (all.admit().unwrap(), all.admit().unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(Arc::clone(&old.connection).serve());
        let third = all.admit().unwrap();
        new.connection.evicted.notified().await;

        let serving = [&old, &third].map(|open| Arc::clone(&open.connection).serve());
        assert!(all.admit().is_none(), "all of them serve");
        drop(serving);
        drop(old);
        assert!(all.admit().is_some(), "one has gone");
    }
}
