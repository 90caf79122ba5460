//! Goal: what is switched on is undone: by its time, by a person, by the end of the shop; and only
//! the page of this shop may switch it. A keeper and a bank that remember stand in for the shop.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use axum::{Json, Router, extract::State as Shared, routing::put};
use client::control::{Keeper, Reply, Request, serve};
use client::{Dirs, ProcessState, ProcessStatus, Progress, State};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use testkit::{PATIENCE, wait_for};
use tokio::net::TcpListener;
use workshop::Workshop;

/// What was done to the shop, in its order.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Keeper for Done {
    async fn handle(&self, request: Request) -> Reply {
        match request {
            Request::Status => {
                let process = |name: &str| ProcessStatus {
                    state: ProcessState::Running,
                    healthy: Some(true),
                    ..ProcessStatus::new(name, 1)
                };
                return Reply::Processes(["payments", "view", "kafka"].map(process).to_vec());
            }
            Request::Pause { name } => self.note(format!("pause {name}")),
            Request::Resume { name } => self.note(format!("resume {name}")),
            Request::Stop { name } => self.note(format!("stop {name}")),
            Request::Start { name, .. } => self.note(format!("start {name}")),
            other => return Reply::Error(format!("not expected: {other:?}")),
        }
        Reply::Done
    }
}

/// A shop of which only what breaks is there.
struct Shop {
    workshop: Option<Workshop>,
    done: Done,
    client: Client,
    url: String,
    _folder: tempfile::TempDir,
}

const PAGE: &str = "http://127.0.0.1:8084";

impl Shop {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dirs = Dirs::create(folder.path()).unwrap();
        let done = Done::default();
        serve(&dirs.control_socket(), Arc::new(done.clone())).unwrap();
        let bank = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bank_url = format!("http://{}", bank.local_addr().unwrap());
        let faults = put(|Shared(done): Shared<Done>, Json(faults): Json<Value>| async move {
            done.note(format!("bank {faults}"));
        });
        let routes = Router::new().route("/faults", faults).with_state(done.clone());
        tokio::spawn(async move { axum::serve(bank, routes).await });
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let away = "http://127.0.0.1:9".to_owned();
        let mut urls: BTreeMap<_, _> = ["mail", "connect", "postgres.catalog", "kafka"]
            .map(|name| (name.to_owned(), away.clone()))
            .into();
        urls.insert("bank".to_owned(), bank_url);
        urls.insert("view".to_owned(), PAGE.to_owned());
        let state = State {
            dir: dirs.root().to_owned(),
            pid: 0,
            ports: BTreeMap::from([("workshop".to_owned(), port)]),
            urls,
            project: None,
            partitions: 3,
            build: None,
            profile: None,
        };
        let workshop = Workshop::begin(&dirs, &state, Progress::start()).await.unwrap();
        let url = format!("http://127.0.0.1:{port}");
        Self { workshop: Some(workshop), done, client: Client::new(), url, _folder: folder }
    }

    /// A request of the page.
    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.header("origin", PAGE).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn on(&self, name: &str, seconds: u64) -> (StatusCode, Value) {
        self.ask(Method::POST, &format!("/switches/{name}"), json!({ "seconds": seconds })).await
    }

    async fn switch(&self, name: &str) -> Value {
        let (_, shown) = self.ask(Method::GET, "/switches", Value::Null).await;
        let all = shown["switches"].as_array().unwrap();
        all.iter().find(|switch| switch["name"] == name).unwrap().clone()
    }

    async fn until(&self, name: &str, state: &str) -> Value {
        wait_for(&format!("{name} to be {state}"), PATIENCE, || async {
            let switch = self.switch(name).await;
            if switch["state"] == state { Ok(switch) } else { Err(switch) }
        })
        .await
    }

    async fn until_done(&self, what: &str) {
        wait_for(what, PATIENCE, || async {
            let all = self.done.all();
            if all.iter().any(|done| done == what) { Ok(()) } else { Err(all) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_ends_with_its_time_and_before_it_if_a_person_wants() {
    let shop = Shop::start().await;
    assert_eq!(shop.on("payments-frozen", 1).await.0, StatusCode::ACCEPTED);
    let off = shop.until("payments-frozen", "off").await;
    assert_eq!(off["last"]["failed"], Value::Null, "{off}");
    assert_eq!(shop.done.all(), ["pause payments", "resume payments"]);

    shop.on("view-stopped", 40).await;
    shop.until_done("stop view").await;
    let on = shop.until("view-stopped", "on").await;
    let left = on["seconds_left"].as_f64().unwrap();
    assert!((30.0..=40.0).contains(&left), "{on}");
    let (status, _) = shop.ask(Method::DELETE, "/switches/view-stopped", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    shop.until("view-stopped", "off").await;
    assert_eq!(shop.done.all()[2..], ["stop view", "start view"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_is_undone_before_the_shop_ends_and_then_nothing_is_switched_on() {
    let mut shop = Shop::start().await;
    shop.on("payments-frozen", 40).await;
    shop.on("bank-away", 40).await;
    shop.on("kafka-frozen", 15).await;
    for what in ["pause payments", "bank {\"outage\":true}", "pause kafka"] {
        shop.until_done(what).await;
    }
    shop.workshop.take().unwrap().end().await;
    let done = shop.done.all();
    for undone in ["resume payments", "bank {}", "resume kafka"] {
        assert!(done.iter().any(|one| one == undone), "{undone} in {done:?}");
    }
    assert!(shop.client.get(&shop.url).send().await.is_err(), "it serves no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_switched_says_why() {
    let shop = Shop::start().await;
    shop.on("bank-away", 40).await;
    for (name, seconds, status, part) in [
        ("bank-away", 20, 409, "it is on already"),
        ("bank-declines", 20, 409, "`bank-away` is on"),
        ("payments-frozen", 46, 422, "must be from 1 to 45"),
        ("payments-frozen", 0, 422, "must be from 1 to 45"),
        ("poison-record", 5, 422, "happens at once"),
        ("nothing", 5, 404, "there is no switch `nothing`"),
    ] {
        let (found, problem) = shop.on(name, seconds).await;
        assert_eq!(found.as_u16(), status, "{name}: {problem}");
        assert!(problem.to_string().contains(part), "{name}: {problem}");
    }
    let (status, problem) = shop.ask(Method::DELETE, "/switches/view-stopped", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    for (ids, part) in [
        (json!([]), "must have 1 to 20 members"),
        (json!(vec!["orders/0/1"; 21]), "must have 1 to 20 members"),
        (json!(["orders/0/1", "orders/1"]), "ids[1]"),
    ] {
        let body = json!({ "ids": ids });
        let (status, problem) = shop.ask(Method::POST, "/dead-letters/discard", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem.to_string().contains(part), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_read_the_answers_and_no_other() {
    let shop = Shop::start().await;
    let url = format!("{}/switches/payments-frozen", shop.url);
    let preflight = |origin: &'static str| {
        let request = shop.client.request(Method::OPTIONS, &url).header("origin", origin);
        request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let ours = preflight(PAGE).await.unwrap();
    assert_eq!(ours.headers()["access-control-allow-origin"], PAGE);
    assert_eq!(ours.headers()["access-control-allow-headers"], "content-type");
    let foreign = preflight("http://evil.example").await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
    // What a form of another page can send without a preflight is no JSON.
    let form = shop.client.post(&url).header("origin", PAGE).header("content-type", "text/plain");
    let form = form.body("{}").send().await.unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(shop.done.all(), [] as [String; 0]);
}
