//! The page for people: `GET /` of a browser, and its files below `/page/`. It is a client of this
//! service and of orders, like any other, and a part of the binary.

use super::etag;
use anyhow::ensure;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use service_kit::{Guarded, Problem, config::origin};
use std::sync::Arc;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Where `index.html` has the address of orders.
const ORDERS_URL: &str = "{orders_url}";
/// Where it has the address of the Workshop, and the link to that screen, if there is one.
const WORKSHOP_META: &str = "{workshop_meta}";
const WORKSHOP_LINK: &str = "{workshop_link}";
/// The screen that only a shop with a Workshop has.
const WORKSHOP_FILE: &str = "workshop.js";

macro_rules! files {
    ($($name:literal: $media_type:expr),* $(,)?) => {
        [$(($name, $media_type, include_str!(concat!("../../page/", $name)))),*]
    };
}

/// Name, media type and text of every file in `page/`.
static FILES: [(&str, &str, &str); 15] = files! {
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "app.js": JS,
    "choreography.js": JS,
    "dom.js": JS,
    "live.js": JS,
    "order.js": JS,
    "picture.js": JS,
    "questions.js": JS,
    "router.js": JS,
    "session.js": JS,
    "shop.js": JS,
    "words.js": JS,
    "workshop.js": JS,
};

/// The page, ready to be sent.
#[derive(Clone)]
pub struct Page(Arc<Inner>);

struct Inner {
    files: Vec<File>,
    policy: HeaderValue,
}

struct File {
    name: &'static str,
    media_type: &'static str,
    text: String,
    etag: String,
}

impl Page {
    /// A page that sends commands to orders at `orders_url`, and has the screen of the Workshop at
    /// `workshop_url`, if there is one.
    ///
    /// # Errors
    /// When one of them cannot stand in a Content-Security-Policy.
    pub fn new(orders_url: &str, workshop_url: Option<&str>) -> anyhow::Result<Self> {
        let orders = plain_origin("ORDERS_URL", orders_url)?;
        let workshop = workshop_url.map(|url| plain_origin("WORKSHOP_URL", url)).transpose()?;
        let workshop = workshop.map(|origin| format!(" {origin}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self' {orders}{workshop}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let (meta, link) = match workshop_url {
            None => (String::new(), ""),
            Some(url) => (
                format!("<meta name=\"workshop-url\" content=\"{}\">", escaped(url)),
                "<a href=\"#/workshop\">Workshop</a>",
            ),
        };
        let file = |(name, media_type, text): (&'static str, &'static str, &'static str)| {
            let text = text
                .replace(ORDERS_URL, &escaped(orders_url))
                .replace(WORKSHOP_META, &meta)
                .replace(WORKSHOP_LINK, link);
            let etag = etag::tag_of(text.as_bytes());
            File { name, media_type, text, etag }
        };
        let is_served =
            |(name, _, _): &(&str, &str, &str)| *name != WORKSHOP_FILE || workshop_url.is_some();
        let files = FILES.into_iter().filter(is_served).map(file).collect();
        Ok(Self(Arc::new(Inner { files, policy: HeaderValue::try_from(policy)? })))
    }

    /// `GET /page/{name}`.
    pub(super) fn router(&self) -> Guarded {
        Guarded::public(Router::new().route("/page/{name}", get(file)).with_state(self.clone()))
    }

    /// The page itself.
    pub(super) fn index(&self, headers: &HeaderMap) -> Response {
        self.answer(&self.0.files[0], headers)
    }

    fn answer(&self, file: &File, headers: &HeaderMap) -> Response {
        const NOSNIFF: HeaderName = header::X_CONTENT_TYPE_OPTIONS;
        let mut response = match etag::is_known(&file.etag, etag::if_none_match(headers)) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => ([(header::CONTENT_TYPE, file.media_type)], file.text.clone()).into_response(),
        };
        let set = response.headers_mut();
        if let Ok(etag) = HeaderValue::try_from(&file.etag) {
            set.insert(header::ETAG, etag);
        }
        // A new binary is a new page.
        set.insert(header::CACHE_CONTROL, etag::REVALIDATE);
        set.insert(header::CONTENT_SECURITY_POLICY, self.0.policy.clone());
        set.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        set.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
        response
    }
}

/// Whether a request for `/` is a browser's: it asks for HTML by name.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|accept| accept.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/html")
    })
}

async fn file(
    State(page): State<Page>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = page.0.files.iter().find(|file| file.name == name);
    let none = || Problem::not_found(format!("the page has no file {name}"));
    file.map(|file| page.answer(file, &headers)).ok_or_else(none)
}

/// The origin of `url`, for a Content-Security-Policy.
fn plain_origin<'a>(setting: &str, url: &'a str) -> anyhow::Result<&'a str> {
    let origin = origin(url);
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/.-_[]".contains(c);
    ensure!(origin.chars().all(plain), "{setting}: `{origin}` is no origin of a URL");
    Ok(origin)
}

/// For an attribute of HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All files of a shop together, as they are sent.
    const BYTES_MAX: usize = 100_000;
    /// And what a shop with a Workshop has besides.
    const WORKSHOP_BYTES_MAX: usize = 20_000;

    #[test]
    fn every_file_is_embedded_and_together_they_are_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let mut embedded = FILES.map(|(name, _, _)| name.to_owned());
        names.sort();
        embedded.sort();
        assert_eq!(names, embedded);
        let (mut bytes, mut of_workshop) = (0, 0);
        for (name, _, text) in FILES {
            match name {
                WORKSHOP_FILE => of_workshop += text.len(),
                _ => bytes += text.len(),
            }
        }
        assert!(bytes < BYTES_MAX, "{bytes} bytes");
        assert!(of_workshop < WORKSHOP_BYTES_MAX, "{of_workshop} bytes of the Workshop");
    }

    #[test]
    fn only_a_client_that_asks_for_html_by_name_gets_the_page() {
        let asks = |accept: &str| {
            wants_html(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
        };
        assert!(asks("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!asks("*/*") && !asks("application/json") && !wants_html(&HeaderMap::new()));
    }

    #[test]
    fn the_address_of_orders_is_in_the_policy_and_in_the_page_and_breaks_neither() {
        let page = Page::new("http://127.0.0.1:8080/a\"b", None).unwrap();
        let policy = page.0.policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8080;"), "{policy}");
        assert!(page.0.files[0].text.contains("http://127.0.0.1:8080/a&quot;b"));
        assert!(Page::new("http://orders; script-src *", None).is_err());
    }

    #[test]
    fn only_a_shop_with_a_workshop_has_its_screen() {
        let orders = "http://127.0.0.1:8080";
        let without = Page::new(orders, None).unwrap();
        let index = &without.0.files[0].text;
        assert!(!index.contains("orkshop") && !index.contains('{'), "{index}");
        assert!(without.0.files.iter().all(|file| file.name != WORKSHOP_FILE));
        let with = Page::new(orders, Some("http://127.0.0.1:8089")).unwrap();
        let policy = with.0.policy.to_str().unwrap();
        let both = "connect-src 'self' http://127.0.0.1:8080 http://127.0.0.1:8089;";
        assert!(policy.contains(both), "{policy}");
        let index = &with.0.files[0].text;
        assert!(
            index.contains("content=\"http://127.0.0.1:8089\"") && index.contains("#/workshop")
        );
        assert!(with.0.files.iter().any(|file| file.name == WORKSHOP_FILE));
        assert!(Page::new(orders, Some("http://workshop; script-src *")).is_err());
    }
}
