//! By which names a browser may reach a service that asks for no token.
//!
//! A page of another site can have its own name point to this machine (DNS rebinding). To the
//! browser the services here are then that page's own, so it may read what they answer. But such a
//! name stands in `Host`. It is a public one, so it has a dot, and is no address.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::problem::Problem;

/// Names that are let in besides those that no public name can be.
pub(super) type Hosts = Arc<[String]>;

/// Refuses what comes by a name that may be another site's.
pub(super) async fn refuse_foreign(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Response {
    match foreign(&hosts, request.headers()) {
        Some(host) => {
            tracing::debug!("{} {}: refused: for {host}", request.method(), request.uri());
            let title = "Reached by a foreign name";
            Problem::new(StatusCode::FORBIDDEN, "foreign_host", title)
                .detail(format!(
                    "{host} is no address, no localhost and not in HTTP_HOSTS: the page of another \
                     site may have pointed its name here. Use an address, or set HTTP_HOSTS"
                ))
                .into_response()
        }
        None => next.run(request).await,
    }
}

/// The name in `Host`, if it may be another site's. A program may leave `Host` out; a browser
/// does not.
fn foreign(hosts: &[String], headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = values.next()?.to_str().unwrap_or("?").to_ascii_lowercase();
    let name = match host.strip_prefix('[') {
        Some(literal) => literal.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    let is_ours = name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost")
        || hosts.iter().any(|host| host == name);
    // One of several would be believed here, and another one elsewhere.
    (!is_ours || values.next().is_some()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        foreign(&["shop.example".to_owned()], &headers).is_some()
    }

    #[test]
    fn a_public_name_is_foreign_unless_http_hosts_has_it() {
        let ours = [
            "127.0.0.1:8084",
            "10.0.0.7",
            "[::1]:8084",
            "localhost:8084",
            "LOCALHOST",
            "view.localhost:8084",
            "view:8084",
            "shop.example",
            "Shop.Example:443",
        ];
        for host in ours {
            assert!(!is_refused(&[host]), "{host}");
        }
        let foreign = [
            "evil.example:8084",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8084",
            "shop.example.evil",
            "evilshop.example",
            "shop.example.",
        ];
        for host in foreign {
            assert!(is_refused(&[host]), "{host}");
        }
        assert!(!is_refused(&[]), "a program without Host");
        assert!(is_refused(&["localhost", "localhost"]), "two of them");
    }
}
