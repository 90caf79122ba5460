//! Which pages may change something by the browser that shows them.
//!
//! A browser sends a form, or a `POST` without a body, for any page that is open in it, and asks no
//! server before. But it says in `Origin` which page it is, with every request that is no `GET`. A
//! program sends no `Origin`, and is let in: who may call is another question.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{addresses::origins, problem::Problem};

/// The origins of pages that may, besides those of the server itself.
pub(super) type Pages = Arc<[String]>;

/// Refuses what a foreign page sends to change something.
pub(super) async fn refuse_foreign(
    State(pages): State<Pages>,
    request: Request,
    next: Next,
) -> Response {
    match foreign(&pages, request.method(), request.headers()) {
        Some(origin) => {
            tracing::debug!("{} {}: refused: sent by {origin}", request.method(), request.uri());
            let title = "Another page has asked";
            Problem::new(StatusCode::FORBIDDEN, "foreign_origin", title)
                .detail(format!("the request is from the page at {origin}, which may not"))
                .into_response()
        }
        None => next.run(request).await,
    }
}

/// The origin of the request, if that may not change anything and tries to.
fn foreign(pages: &[String], method: &Method, headers: &HeaderMap) -> Option<String> {
    // They change nothing, and what they answer a foreign page cannot read (CORS).
    if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method) {
        return None;
    }
    let mut values = headers.get_all(header::ORIGIN).iter();
    let origin = values.next()?.to_str().unwrap_or("?");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = origin.split_once("://").map(|(scheme, _)| origins(&format!("{scheme}://{host}")));
    let is_own = own.is_some_and(|own| own.iter().any(|own| own == origin));
    // One of several would be believed here, and another one elsewhere.
    let is_one = values.next().is_none();
    let is_known = is_one && (is_own || pages.iter().any(|page| page == origin));
    (!is_known).then(|| origin.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(method: Method, origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        foreign(&["http://shop.example".to_owned()], &method, &headers).is_some()
    }

    #[test]
    fn a_foreign_page_changes_nothing_and_reads_as_others_do() {
        let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let own = ["http://127.0.0.1:8080", "http://localhost:8080", "http://shop.example"];
        let foreign =
            ["null", "", "http://127.0.0.1:8081", "http://shop.example.evil", "http://evil", "?"];
        for method in changes {
            assert!(!is_refused(method.clone(), &[]), "a program: {method}");
            for origin in own {
                assert!(!is_refused(method.clone(), &[origin]), "{method} by {origin}");
            }
            for origin in foreign {
                assert!(is_refused(method.clone(), &[origin]), "{method} by {origin}");
            }
            assert!(is_refused(method, &[own[0], own[0]]), "two origins");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!is_refused(method.clone(), &["http://evil"]), "{method}");
        }
    }

    /// Behind a proxy that ends TLS, and passes `Host` on.
    #[test]
    fn the_own_page_may_have_come_by_tls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "shop.example".parse().unwrap());
        headers.insert(header::ORIGIN, "https://shop.example".parse().unwrap());
        assert_eq!(foreign(&[], &Method::POST, &headers), None);
    }
}
