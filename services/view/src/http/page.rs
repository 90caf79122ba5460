//! The page for people: `GET /` of a browser, and its files below `/page/`. It is a client of this
//! service and of orders, like any other, and a part of the binary.
//!
//! Each file is packed once, at the start: browsers take gzip, and get a third of the bytes.

use super::etag;
use anyhow::{Context, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use service_kit::{Guarded, Problem, config::origin};
use std::{io::Write, sync::Arc};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Where `index.html` has the address of orders.
const ORDERS_URL: &str = "{orders_url}";
/// Where it has the modules that it begins with.
const MODULES: &str = "{modules}";
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
    plain: Form,
    packed: Form,
}

/// A file as it is sent. Other bytes are another tag (RFC 9110, 8.8.3.3).
struct Form {
    bytes: Bytes,
    etag: String,
}

impl Form {
    fn of(bytes: Vec<u8>) -> Self {
        Self { etag: etag::tag_of(&bytes), bytes: bytes.into() }
    }
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
        let is_served =
            |(name, _, _): &(&str, &str, &str)| *name != WORKSHOP_FILE || workshop_url.is_some();
        let served: Vec<_> = FILES.into_iter().filter(is_served).collect();
        // Without this, a browser hears of a module when it has read the one that imports it.
        let modules: Vec<_> = served
            .iter()
            .filter(|(_, media_type, _)| *media_type == JS)
            .map(|(name, _, _)| format!("<link rel=\"modulepreload\" href=\"page/{name}\">"))
            .collect();
        let modules = modules.join("\n");
        let file = |(name, media_type, text): (&'static str, &'static str, &'static str)| {
            let text = text
                .replace(ORDERS_URL, &escaped(orders_url))
                .replace(MODULES, &modules)
                .replace(WORKSHOP_META, &meta)
                .replace(WORKSHOP_LINK, link);
            let packed = packed(text.as_bytes()).with_context(|| format!("packing {name}"))?;
            let (plain, packed) = (Form::of(text.into_bytes()), Form::of(packed));
            Ok(File { name, media_type, plain, packed })
        };
        let files = served.into_iter().map(file).collect::<anyhow::Result<_>>()?;
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
        let is_packed = takes_gzip(headers);
        let form = if is_packed { &file.packed } else { &file.plain };
        let mut response = match etag::is_known(&form.etag, etag::if_none_match(headers)) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => {
                let media_type = [(header::CONTENT_TYPE, file.media_type)];
                let mut response = (media_type, form.bytes.clone()).into_response();
                if is_packed {
                    response.headers_mut().insert(header::CONTENT_ENCODING, GZIP);
                }
                response
            }
        };
        let set = response.headers_mut();
        set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(etag) = HeaderValue::try_from(&form.etag) {
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

/// Whether a client takes gzip (RFC 9110, 12.5.3): it names it, or all that it does not name, with
/// a weight that is not 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut of_all = false;
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let weight = weight.strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        let is_taken = weight.is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return is_taken,
            "*" => of_all = is_taken,
            _ => {}
        }
    }
    of_all
}

fn packed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    encoder.finish()
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
    use std::io::Read;

    /// All files of a shop with a Workshop together, as browsers get them.
    const BYTES_MAX: usize = 100_000;
    /// The same files before they are packed.
    const TEXT_BYTES_MAX: usize = 120_000;

    fn with_workshop() -> Page {
        Page::new("http://127.0.0.1:8080", Some("http://127.0.0.1:8089")).unwrap()
    }

    fn text(file: &File) -> &str {
        std::str::from_utf8(&file.plain.bytes).unwrap()
    }

    #[test]
    fn every_file_is_embedded_and_together_they_are_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let mut embedded = FILES.map(|(name, _, _)| name.to_owned());
        names.sort();
        embedded.sort();
        assert_eq!(names, embedded);
        let page = with_workshop();
        let sum = |of: fn(&File) -> &Form| -> usize {
            page.0.files.iter().map(|file| of(file).bytes.len()).sum()
        };
        let (sent, text) = (sum(|file| &file.packed), sum(|file| &file.plain));
        eprintln!("the page has {text} bytes, and {sent} as it is sent");
        assert!(sent < BYTES_MAX, "{sent} bytes are sent");
        assert!(text < TEXT_BYTES_MAX, "{text} bytes of text");
    }

    #[test]
    fn a_file_that_is_packed_is_the_file() {
        for file in &with_workshop().0.files {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*file.packed.bytes).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, file.plain.bytes, "{}", file.name);
            assert_ne!(file.packed.etag, file.plain.etag, "{}", file.name);
        }
    }

    #[test]
    fn gzip_is_for_clients_that_take_it() {
        let takes = |accept: &str| {
            let accept = (header::ACCEPT_ENCODING, accept.parse().unwrap());
            takes_gzip(&HeaderMap::from_iter([accept]))
        };
        for accept in ["gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.8", "*", "x-gzip"] {
            assert!(takes(accept), "{accept}");
        }
        for accept in ["", "br", "identity", "gzip;q=0", "gzip; Q=0.000, *", "*;q=0", "gzip;q=x"] {
            assert!(!takes(accept), "{accept}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_first_paint_waits_for_one_stylesheet_and_each_module_is_asked_for_at_once() {
        let page = with_workshop();
        let index = text(&page.0.files[0]);
        let with = |part: &str| index.lines().filter(|line| line.contains(part)).count();
        assert_eq!(with("rel=\"stylesheet\""), 1);
        // A module waits for the page; any other script makes the page wait.
        assert_eq!((with("<script"), with("<script type=\"module\" src=")), (1, 1));
        assert_eq!((with("<style"), with("@import")), (0, 0));
        let mut modules = 0;
        for file in page.0.files.iter().filter(|file| file.media_type == JS) {
            let preload = format!("<link rel=\"modulepreload\" href=\"page/{}\">", file.name);
            assert_eq!(with(&preload), 1, "{}", file.name);
            modules += 1;
        }
        assert_eq!(with("modulepreload"), modules, "and none that is not there");
        // What is painted first is in the page itself.
        assert!(index.contains("<p class=\"loading\">") && index.contains("<nav"));
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
        assert!(text(&page.0.files[0]).contains("http://127.0.0.1:8080/a&quot;b"));
        assert!(Page::new("http://orders; script-src *", None).is_err());
    }

    #[test]
    fn only_a_shop_with_a_workshop_has_its_screen() {
        let orders = "http://127.0.0.1:8080";
        let without = Page::new(orders, None).unwrap();
        let index = text(&without.0.files[0]);
        assert!(!index.contains("orkshop") && !index.contains('{'), "{index}");
        assert!(without.0.files.iter().all(|file| file.name != WORKSHOP_FILE));
        let with = Page::new(orders, Some("http://127.0.0.1:8089")).unwrap();
        let policy = with.0.policy.to_str().unwrap();
        let both = "connect-src 'self' http://127.0.0.1:8080 http://127.0.0.1:8089;";
        assert!(policy.contains(both), "{policy}");
        let index = text(&with.0.files[0]);
        assert!(
            index.contains("content=\"http://127.0.0.1:8089\"") && index.contains("#/workshop")
        );
        assert!(with.0.files.iter().any(|file| file.name == WORKSHOP_FILE));
        assert!(Page::new(orders, Some("http://workshop; script-src *")).is_err());
    }
}
