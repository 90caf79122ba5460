//! Who may send commands from a browser: the page that the view serves, and no other (CORS).
//!
//! A command needs no cookie, so this protects no session; it keeps foreign pages from ordering by
//! the browser of a person who only looks at them.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use service_kit::config::origins;
use tower_http::cors::CorsLayer;

/// How long a browser may remember the answer to its preflight.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Lets the page at `view_url` send commands, and read what answers say.
pub(super) fn may_send_commands(view_url: &str) -> CorsLayer {
    let header = HeaderName::from_static;
    let origins = origins(view_url).into_iter().filter_map(|o| HeaderValue::try_from(o).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header("idempotency-key"),
            header("prefer"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header("preference-applied")])
        .max_age(MAX_AGE)
}
