//! Goal: only those call whom a token lets, also while the issuer changes its keys, is away or
//! talks nonsense; and none calls too often.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json};
use service_kit::{
    Access, Caller, CallerSettings, Callers, Guarded, Lifecycle, Limits, Problem, Routes, Running,
    Shutdown, ValidPath, callers::MetricsAccess, config::loopback, openapi, try_out,
};
use testkit::{
    PATIENCE,
    callers::{AUDIENCE, Badges, ISSUER, OWNER, Operation, Sample, assert_callers},
    wait_for,
};
use tokens::{Grant, Issuer, Role};
use utoipa_axum::routes;

#[utoipa::path(get, path = "/catalog", responses((status = 200)))]
async fn catalog() -> &'static str {
    "tea"
}

#[utoipa::path(get, path = "/things/{customer}", responses((status = 200)))]
async fn things(
    caller: Caller,
    ValidPath(customer): ValidPath<String>,
) -> Result<&'static str, Problem> {
    match caller.may_see(&customer) && customer == OWNER {
        true => Ok("a thing"),
        false => Err(Problem::not_found("there is nothing")),
    }
}

#[utoipa::path(delete, path = "/things", responses((status = 200)))]
async fn clear(caller: Caller) -> String {
    caller.identity().map_or("open".to_owned(), ToString::to_string)
}

#[utoipa::path(get, path = "/news", responses((status = 200)))]
async fn news() -> Response {
    let first = futures::stream::iter([Ok::<_, Infallible>(Event::default().data("first"))]);
    let silence = futures::stream::pending();
    Sse::new(futures::StreamExt::chain(first, silence)).into_response()
}

fn api() -> Routes {
    Routes::new(utoipa::openapi::OpenApi::default())
        .with(Access::Public, routes!(catalog))
        .with(Access::Owner, routes!(things))
        .with(Access::Staff, routes!(clear))
        .with(Access::Staff, routes!(news))
}

fn samples(operation: &Operation) -> Vec<Sample> {
    vec![match operation.path.as_str() {
        "/things/{customer}" => {
            Sample::of(format!("/things/{OWNER}"), Some("/things/nothing".to_owned()))
        }
        _ => Sample::plain(operation),
    }]
}

async fn serve_for(callers: Callers) -> String {
    let routes = api().guarded(()).merge(openapi::router(&document()).unwrap());
    try_out(routes, &callers).await
}

fn document() -> utoipa::openapi::OpenApi {
    openapi::complete(api().document())
}

/// The status of `GET path` or, of the only one that has it, `DELETE path`.
async fn status(base: &str, path: &str, token: &str) -> u16 {
    let url = format!("{base}{path}");
    let client = Client::new();
    let request = if path == "/things" { client.delete(url) } else { client.get(url) };
    request.bearer_auth(token).send().await.unwrap().status().as_u16()
}

/// DNS rebinding: to the browser, the service is the other site's own, so CORS does not help.
#[tokio::test]
async fn the_name_of_another_site_reaches_nothing_in_the_open_profile() {
    let settings =
        CallerSettings { http_hosts: vec!["Shop.Example".to_owned()], ..Default::default() };
    let (callers, _) = Callers::new(&settings);
    let (open, http) = (serve_for(callers).await, Client::new());
    let ask = |base: &str, path: &str, host: &str| {
        http.get(format!("{base}{path}")).header("host", host).send()
    };
    for path in ["/catalog", "/things/ada", "/metrics"] {
        let refused = ask(&open, path, "evil.example:8084").await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "foreign_host", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("HTTP_HOSTS"), "{problem}");
    }
    for host in ["localhost:8084", "view:8084", "shop.example"] {
        assert_eq!(ask(&open, "/catalog", host).await.unwrap().status(), StatusCode::OK, "{host}");
    }
    // Where callers need a token, a page of another site has none: names are the proxy's affair.
    let badges = Badges::default();
    let closed = serve_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    let answer = ask(&closed, "/catalog", "evil.example").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_caller_gets_what_the_routes_declare() {
    let badges = Badges::default();
    let base = serve_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    let document = document().to_json().unwrap();
    assert_callers(&base, &document, &badges, samples).await;
}

#[tokio::test]
async fn in_the_open_profile_all_callers_may_do_all_and_a_token_changes_nothing() {
    let base = serve_for(Callers::open()).await;
    for token in ["", "nonsense"] {
        assert_eq!(status(&base, "/things/ada", token).await, 200);
        assert_eq!(status(&base, "/things", token).await, 200);
        assert_eq!(status(&base, "/metrics", token).await, 200);
    }
}

#[tokio::test]
async fn a_token_is_looked_for_in_one_place_and_may_stand_there_once() {
    let badges = Badges::default();
    let base = serve_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    let (client, staff) = (Client::new(), badges.staff());
    let url = format!("{base}/things");
    let in_query = client.delete(format!("{url}?access_token={staff}"));
    assert_eq!(in_query.send().await.unwrap().status(), 401);
    let twice = client.delete(&url).bearer_auth(&staff).bearer_auth(&staff);
    assert_eq!(twice.send().await.unwrap().status(), 401);
    let shouting = client.delete(&url).header("authorization", format!("BEARER {staff}"));
    assert_eq!(shouting.send().await.unwrap().text().await.unwrap(), "staff:ops");
}

/// An issuer over HTTP that can be away or talk nonsense.
#[derive(Clone)]
struct KeyServer(Arc<Mutex<Mood>>);

#[derive(Clone)]
enum Mood {
    Keys(Value),
    Nonsense,
    Away,
}

impl KeyServer {
    async fn start(mood: Mood) -> (Self, String) {
        let server = Self(Arc::new(Mutex::new(mood)));
        let routes = Router::new().route("/jwks", get(Self::answer)).with_state(server.clone());
        let listener = tokio::net::TcpListener::bind(loopback(0)).await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        (server, url)
    }

    fn set(&self, mood: Mood) {
        *self.0.lock() = mood;
    }

    async fn answer(State(server): State<Self>) -> Response {
        let mood = server.0.lock().clone();
        match mood {
            Mood::Keys(keys) => Json(keys).into_response(),
            Mood::Nonsense => "<html>".into_response(),
            Mood::Away => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}

fn settings() -> CallerSettings {
    CallerSettings {
        jwt_issuer: Some(ISSUER.to_owned()),
        jwt_audience: Some(AUDIENCE.to_owned()),
        ..CallerSettings::default()
    }
}

async fn run(settings: CallerSettings) -> (Running, String) {
    let lifecycle = Lifecycle::new(Shutdown::new());
    let any: SocketAddr = loopback(0);
    let routes: Guarded = api().guarded(());
    let serving = lifecycle.serve((any, &settings), routes, Limits::default()).await.unwrap();
    let base = format!("http://{}", serving.local_addr());
    (serving.registered(), base)
}

/// What health says of the part `callers`.
async fn health(base: &str) -> (String, String) {
    let report = reqwest::get(format!("{base}/health/ready")).await.unwrap();
    let report: Value = report.json().await.unwrap();
    let checks = report["checks"].as_array().unwrap().clone();
    let check = checks.into_iter().find(|check| check["name"] == "callers").unwrap();
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("detail"))
}

async fn wait_for_health(base: &str, status: &str, words: &str) {
    wait_for("what health says of callers", PATIENCE, || async {
        let (found, detail) = health(base).await;
        let is_so = found == status && detail.contains(words);
        if is_so { Ok(()) } else { Err(format!("{found}: {detail}")) }
    })
    .await;
}

async fn wait_for_status(base: &str, token: &str, expected: u16) {
    wait_for("the answer to this token", PATIENCE, || async {
        let found = status(base, "/things", token).await;
        if found == expected { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

fn staff_of(issuer: &Issuer) -> String {
    let grant = Grant::new(ISSUER, AUDIENCE, "ops", Role::Staff);
    issuer.token(&grant, Duration::from_secs(600))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_server_may_be_away_at_the_start_and_later_and_talk_nonsense() {
    let issuer = Issuer::generate();
    let (server, url) = KeyServer::start(Mood::Away).await;
    let settings = CallerSettings { jwks_url: Some(url), jwks_refresh_s: 1, ..settings() };
    let (_running, base) = run(settings).await;
    let staff = staff_of(&issuer);

    wait_for_health(&base, "down", "502").await;
    assert_eq!(status(&base, "/things", &staff).await, 503, "no key is known");
    assert_eq!(status(&base, "/catalog", "").await, 200, "that is for all");

    server.set(Mood::Keys(issuer.jwks()));
    wait_for_status(&base, &staff, 200).await;
    wait_for_health(&base, "up", "").await;

    server.set(Mood::Nonsense);
    wait_for_health(&base, "degraded", "JWK Set").await;
    assert_eq!(status(&base, "/things", &staff).await, 200, "the key from before is in use");
    let other = staff_of(&Issuer::generate());
    assert_eq!(status(&base, "/things", &other).await, 503, "its key may be a new one");

    server.set(Mood::Keys(json!({ "keys": [] })));
    wait_for_health(&base, "degraded", "none of the 0 keys").await;
    assert_eq!(status(&base, "/things", &staff).await, 200);

    server.set(Mood::Keys(issuer.jwks()));
    wait_for_health(&base, "up", "").await;
    assert_eq!(status(&base, "/things", &other).await, 401, "the issuer has no such key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_asked_for_at_once_and_one_that_was_withdrawn_counts_no_more() {
    let (old, new) = (Issuer::generate(), Issuer::generate());
    let (server, url) = KeyServer::start(Mood::Keys(old.jwks())).await;
    // It would be read again in an hour.
    let settings = CallerSettings { jwks_url: Some(url), jwks_refresh_s: 3600, ..settings() };
    let (_running, base) = run(settings).await;
    wait_for_status(&base, &staff_of(&old), 200).await;

    server.set(Mood::Keys(json!({ "keys": [old.jwk(), new.jwk()] })));
    wait_for_status(&base, &staff_of(&new), 200).await;
    assert_eq!(status(&base, "/things", &staff_of(&old)).await, 200, "both count");

    let newest = Issuer::generate();
    server.set(Mood::Keys(json!({ "keys": [new.jwk(), newest.jwk()] })));
    wait_for_status(&base, &staff_of(&newest), 200).await;
    assert_eq!(status(&base, "/things", &staff_of(&old)).await, 401, "it is withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_are_read_again_as_it_changes() {
    let (old, new) = (Issuer::generate(), Issuer::generate());
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("jwks.json");
    let settings = CallerSettings { jwks_file: Some(file.clone()), ..settings() };
    let (_running, base) = run(settings).await;
    wait_for_health(&base, "down", "cannot be opened").await;

    std::fs::write(&file, old.jwks().to_string()).unwrap();
    wait_for_status(&base, &staff_of(&old), 200).await;
    std::fs::write(&file, new.jwks().to_string()).unwrap();
    wait_for_status(&base, &staff_of(&new), 200).await;
    wait_for_status(&base, &staff_of(&old), 401).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_of_its_caller() {
    let badges = Badges::default();
    let base = serve_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Believed for half a minute after its end, of which a moment is left.
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ops", "roles": ["staff"], "exp": now - 28,
    });
    let token = badges.issuer().sign(&badges.issuer().header(), &claims);
    let answer = Client::new().get(format!("{base}/news")).bearer_auth(token);
    let answer = answer.timeout(PATIENCE).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "data: first\n\n");
}

#[tokio::test]
async fn the_metrics_are_for_staff_unless_a_setting_says_otherwise() {
    let badges = Badges::default();
    let base = serve_for(Callers::with_keys(badges.verifier(), badges.keys())).await;
    assert_eq!(status(&base, "/metrics", "").await, 401);
    assert_eq!(status(&base, "/metrics", &badges.customer("ada")).await, 403);
    assert_eq!(status(&base, "/metrics", &badges.staff()).await, 200);
    let file = Some(PathBuf::from("/nowhere"));
    let public = MetricsAccess::Public;
    let settings = CallerSettings { jwks_file: file, metrics_access: public, ..settings() };
    let (_running, base) = run(settings).await;
    assert_eq!(status(&base, "/metrics", "").await, 200);
    assert_eq!(status(&base, "/things", &badges.staff()).await, 503);
}

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_again() {
    let rate = |rate: u32| rate.try_into().ok();
    let settings = CallerSettings {
        rate_limit_per_s: rate(1),
        rate_limit_burst: rate(3),
        ..CallerSettings::default()
    };
    let (_running, base) = run(settings).await;
    let mut last = None;
    for _ in 0..20 {
        last = Some(reqwest::get(format!("{base}/catalog")).await.unwrap());
        if last.as_ref().is_some_and(|answer| answer.status() != 200) {
            break;
        }
    }
    let answer = last.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "too_many");
    let live = reqwest::get(format!("{base}/health/live")).await.unwrap();
    assert_eq!(live.status(), 200, "health does not count");
}
