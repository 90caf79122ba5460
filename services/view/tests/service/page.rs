//! Goal: a browser gets the page and may keep it, a program gets JSON, and the page can do nothing
//! that it need not.

use crate::harness::Instance;
use reqwest::{Response, StatusCode};
use serde_json::Value;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn ask(view: &Instance, path: &str, header: (&str, &str)) -> Response {
    view.client.get(view.address(path)).header(header.0, header.1).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_page_and_a_program_what_there_is_to_ask_for() {
    let view = Instance::start("page").await;
    let page = ask(&view, "/", ("accept", BROWSER)).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let varies: Vec<_> = page.headers().get_all("vary").iter().collect();
    assert_eq!(varies, ["accept-encoding", "accept"]);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    for (start, end) in [("src=\"", "\""), ("href=\"", "\"")] {
        for link in html.split(start).skip(1).filter_map(|rest| rest.split(end).next()) {
            // No file of another host, and none that is missing.
            let path = if let Some(path) = link.strip_prefix("page/") { path } else { continue };
            let file = view.ask(&format!("/page/{path}")).await;
            assert_eq!(file.status(), StatusCode::OK, "{link}");
        }
    }
    let index = view.get("/").await;
    assert_eq!(index["service"], "view");
    view.problem("/page/nothing.js", 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let view = Instance::start("page_again").await;
    for (path, accept) in [("/", BROWSER), ("/page/app.js", "*/*")] {
        let first = ask(&view, path, ("accept", accept)).await;
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(!first.bytes().await.unwrap().is_empty());
        let request = view.client.get(view.address(path)).header("accept", accept);
        let again = request.header("if-none-match", &etag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()["etag"], etag);
        assert!(again.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_gzip_gets_a_third_of_the_bytes_under_a_tag_of_their_own() {
    let view = Instance::start("page_packed").await;
    for (path, accept) in [("/", BROWSER), ("/page/style.css", "text/css,*/*;q=0.1")] {
        let plain = ask(&view, path, ("accept", accept)).await;
        assert_eq!(plain.headers().get("content-encoding"), None);
        let request = || {
            let request = view.client.get(view.address(path)).header("accept", accept);
            request.header("accept-encoding", "gzip, deflate, br")
        };
        let packed = request().send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        let varies: Vec<_> = packed.headers().get_all("vary").iter().cloned().collect();
        assert!(varies.iter().any(|name| name == "accept-encoding"), "{varies:?}");
        for same in ["content-type", "content-security-policy", "cache-control"] {
            assert_eq!(packed.headers()[same], plain.headers()[same]);
        }
        let [plain_tag, tag] =
            [&plain, &packed].map(|answer| answer.headers()["etag"].to_str().unwrap().to_owned());
        assert_ne!(plain_tag, tag);
        let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
        assert!(packed.len() * 2 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
        let again = request().header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers().get("content-encoding"), None);
        // The tag of other bytes is not known.
        let other = request().header("if-none-match", &plain_tag).send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topology_is_that_of_the_contracts() {
    let view = Instance::start("topology").await;
    let topology = view.get("/topology").await;
    let find = |of: &str, key: &str, value: &str| -> Value {
        let rows = topology[of].as_array().unwrap();
        rows.iter().find(|row| row[key] == value).unwrap().clone()
    };
    let orders = find("topics", "name", "orders");
    assert_eq!(orders["writers"], serde_json::json!(["orders", "payments"]));
    assert_eq!(find("topics", "name", "orders.commands")["writers"][0], "any");
    assert_eq!(find("statuses", "status", "validated")["holder"], "payments");
    assert_eq!(find("statuses", "status", "confirmed")["holder"], Value::Null);
    assert_eq!(find("steps", "transition", "PaymentReceived")["writer"], "payments");
    assert_eq!(find("flows", "handler", "view_updated")["service"], "email");
    assert_eq!(find("services", "name", "fraud")["optional"], true);
}
