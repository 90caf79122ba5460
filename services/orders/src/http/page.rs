//! Who may send commands from a browser: the page that the view serves, and no other (CORS).
//!
//! A command needs no cookie, so this protects no session; it keeps foreign pages from ordering by
//! the browser of a person who only looks at them.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use service_kit::config::origin;
use tower_http::cors::CorsLayer;

/// How long a browser may remember the answer to its preflight.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The names of this machine: people use one as well as the other.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

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

/// The origins of the page, as browsers write them (RFC 6454): lower case, and no default port.
fn origins(view_url: &str) -> Vec<String> {
    let origin = origin(view_url).to_ascii_lowercase();
    let default_port = if origin.starts_with("https:") { ":443" } else { ":80" };
    let origin = origin.strip_suffix(default_port).unwrap_or(&origin);
    let (scheme, place) = origin.split_once("://").unwrap_or(("http", origin));
    let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
    match LOOPBACK.contains(&host) {
        true => LOOPBACK.map(|host| format!("{scheme}://{host}{port}")).to_vec(),
        false => vec![origin.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (view_url, expected) in [
            ("https://Shop.Example:443/view", &["https://shop.example"][..]),
            ("http://shop.example:8084", &["http://shop.example:8084"]),
            ("http://[::1]:8084", &["http://[::1]:8084"]),
            ("http://localhost:8084/", &["http://127.0.0.1:8084", "http://localhost:8084"]),
            ("http://127.0.0.1", &["http://127.0.0.1", "http://localhost"]),
        ] {
            assert_eq!(origins(view_url), expected, "{view_url}");
        }
    }
}
