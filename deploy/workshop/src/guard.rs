//! Who may ask: the page of this shop in a browser of this machine, and programs that say that they
//! mean it.
//!
//! A browser sends requests for any page that is open in it. So what is asked for must be this
//! machine by name (a foreign name that was pointed here is refused: DNS rebinding), and who asks
//! must be the page of the view, as the browser says in `Origin`. A request that changes something
//! needs an `Origin`; one that only reads may be without, as `curl` sends it: no other page can
//! read the answer (CORS).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use service_kit::Problem;
use service_kit::config::{LOOPBACK, origins};
use tower_http::cors::CorsLayer;

/// Whom to let in. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Known>);

#[derive(Debug)]
struct Known {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// For a server on `port` of this machine, and the page at `view_url`.
    pub(crate) fn new(view_url: &str, port: u16) -> Self {
        let hosts = LOOPBACK.map(|host| format!("{host}:{port}")).to_vec();
        Self(Arc::new(Known { hosts, origins: origins(view_url) }))
    }

    /// Lets the page read the answers.
    pub(crate) fn cors(&self) -> CorsLayer {
        let origins = self.0.origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
        CorsLayer::new()
            .allow_origin(origins.collect::<Vec<_>>())
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([header::CONTENT_TYPE])
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let refused = |code, title: &'static str| Problem::new(StatusCode::FORBIDDEN, code, title);
        let one = |name: HeaderName| {
            let mut values = request.headers().get_all(name).iter();
            let first = values.next().map(|value| value.to_str().unwrap_or("?"));
            // One of several would be believed here, and another one elsewhere.
            if values.next().is_some() { Some("?") } else { first }
        };
        let Known { hosts, origins } = &*self.0;
        let host = one(header::HOST).unwrap_or_default().to_ascii_lowercase();
        if !hosts.contains(&host) {
            let detail = format!("the Workshop is asked for as {}", hosts.join(" or "));
            return Err(refused("foreign_host", "Another host was asked for").detail(detail));
        }
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match one(header::ORIGIN) {
            Some(origin) if origins.iter().any(|ours| ours == origin) => Ok(()),
            None if is_read => Ok(()),
            found => {
                let what = found.map_or("has no Origin".to_owned(), |it| format!("is from {it}"));
                let ours = origins.join(" or ");
                let detail =
                    format!("the request {what}; only the page at {ours} may change a shop");
                Err(refused("foreign_origin", "Another page has asked").detail(detail))
            }
        }
    }
}

/// Lets in whom the guard knows.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    guard.check(&request)?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn code(method: Method, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/switches");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let guard = Guard::new("http://127.0.0.1:8084", 8089);
        let checked = guard.check(&request.body(Body::empty()).unwrap());
        checked.map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_the_page_of_this_machine_may_change_anything() {
        let (host, page) = (("host", "127.0.0.1:8089"), ("origin", "http://127.0.0.1:8084"));
        let named = (("host", "LOCALHOST:8089"), ("origin", "http://localhost:8084"));
        assert_eq!(code(Method::POST, &[host, page]), 200);
        assert_eq!(code(Method::POST, &[named.0, named.1]), 200);
        assert_eq!(code(Method::GET, &[host]), 200, "a program reads");
        assert_eq!(code(Method::POST, &[host]), 403, "it says nothing of where it comes from");
        for origin in ["null", "http://127.0.0.1:8085", "https://127.0.0.1:8084", "http://evil"] {
            assert_eq!(code(Method::POST, &[host, ("origin", origin)]), 403, "{origin}");
            assert_eq!(code(Method::GET, &[host, ("origin", origin)]), 403, "{origin}");
            assert_eq!(code(Method::OPTIONS, &[host, ("origin", origin)]), 403, "{origin}");
        }
        for host in ["evil.example:8089", "127.0.0.1", "127.0.0.1:8084", "127.0.0.1:8089.evil"] {
            assert_eq!(code(Method::GET, &[("host", host)]), 403, "{host}");
            assert_eq!(code(Method::POST, &[("host", host), page]), 403, "{host}");
        }
        assert_eq!(code(Method::GET, &[]), 403);
        assert_eq!(code(Method::POST, &[host, page, page]), 403, "two origins");
    }
}
