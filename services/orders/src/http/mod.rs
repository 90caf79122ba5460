//! The HTTP edge: it makes commands of requests, and waits for their outcome on request.
//!
//! It takes no decision. It refuses an invalid request with the function that the processor uses,
//! so that the answer names a wrong member; but the processor's later decision is the one that
//! counts.

pub mod admission;
mod answer;
mod cancel_order;
mod edge;
mod idempotency;
mod page;
mod place_order;
mod prefer;
pub mod representation;
pub mod waiters;

use std::{sync::Arc, time::Duration};

use service_kit::{Access, Guarded, Limits, Routes, Shutdown, openapi};
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::routes;

pub use edge::{CommandLog, Sent};

use crate::catalog::Catalog;
use admission::{Admission, Bounds};
use waiters::Waiters;

/// Room for a client that waits a minute after a command that took its time to be acknowledged.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(75);

/// Of the requests in flight, those that are kept for others than new orders: cancellations pass
/// when orders are refused.
const KEPT_FREE: usize = 64;

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// For the checks that need no history.
    pub catalog: Catalog,
    /// Where commands go.
    pub commands: Arc<dyn CommandLog>,
    /// The waiting requests.
    pub waiters: Waiters,
    /// Who may place an order now.
    pub admission: Admission,
    /// Where orders can be seen.
    pub view_url: Arc<str>,
    /// Lets waiting requests go.
    pub shutdown: Shutdown,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "orders",
    description = "Commands about orders. Questions are the view's to answer."
))]
struct Api;

/// What the server takes on: requests that wait for an outcome take no place of others.
pub fn limits(waiters_max: usize) -> Limits {
    let defaults = Limits::default();
    let in_flight_max = waiters_max + defaults.in_flight_max;
    Limits { in_flight_max, request_timeout: REQUEST_TIMEOUT, ..defaults }
}

/// Admission to a server with these `limits`.
pub fn admission(bounds: Bounds, limits: &Limits) -> Admission {
    Admission::new(bounds, limits.in_flight_max.saturating_sub(KEPT_FREE).max(1))
}

/// The routes, with their document at `/openapi.json` and `/docs`.
///
/// # Errors
/// Fails if the document cannot be written, which a test rules out.
pub fn router(app: App) -> anyhow::Result<Guarded> {
    let page = page::may_send_commands(&app.view_url);
    let url = Arc::clone(&app.view_url);
    let api = api().guarded(app).layer(page).for_the_page_at(&url);
    Ok(api.merge(openapi::router(&document())?))
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    openapi::complete(api().document())
}

fn api() -> Routes<App> {
    Routes::new(Api::openapi())
        .with(Access::Owner, routes!(place_order::place_order))
        .with(Access::Owner, routes!(cancel_order::cancel_order))
}
