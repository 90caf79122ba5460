//! The bank, as far as payments sees it: an external system, so a double is allowed. It keeps what
//! it has booked, and can lose requests and answers.

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::TcpListener;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It hangs, and nothing is booked.
    RequestLost,
    /// It hangs, but it is booked.
    AnswerLost,
    /// It fails, and nothing is booked.
    Failed,
    /// It is booked, and the answer is followed by 16 MiB of spaces.
    LongAnswer,
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Captured,
    Declined,
    Voided,
    Refunded,
}

#[derive(Debug, Default)]
struct Books {
    held: HashMap<String, Held>,
    /// Every booking, as `capture <key>`.
    statement: Vec<String>,
    /// Every request, as `charge <key>`.
    requests: Vec<String>,
    declines: Vec<String>,
    /// Faults by the request's path: so many times, or for ever.
    faults: HashMap<String, (Fault, Option<u32>)>,
}

#[derive(Clone)]
pub(crate) struct BankDouble {
    pub(crate) url: String,
    books: Arc<Mutex<Books>>,
}

impl BankDouble {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bank = Self { url, books: Arc::default() };
        let routes = Router::new()
            .route("/charges", post(charge))
            .route("/charges/{key}/void", post(void))
            .route("/charges/{key}/refund", post(refund))
            .layer(middleware::from_fn_with_state(bank.clone(), interfere))
            .with_state(bank.clone());
        tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        bank
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Lets requests of this kind (`charge`, `void`, `refund`) for `key` fail, `times` or for ever.
    pub(crate) fn fail(&self, kind: &str, key: &str, fault: Fault, times: Option<u32>) {
        self.books().faults.insert(format!("{kind} {key}"), (fault, times));
    }

    /// Everything works again.
    pub(crate) fn recover(&self) {
        self.books().faults.clear();
    }

    /// Says no to this key.
    pub(crate) fn decline(&self, key: &str) {
        self.books().declines.push(key.to_owned());
    }

    pub(crate) fn held(&self, key: &str) -> Option<Held> {
        self.books().held.get(key).copied()
    }

    /// The kinds of what was booked for `key`.
    pub(crate) fn statement(&self, key: &str) -> Vec<String> {
        with_key(&self.books().statement, key)
    }

    /// The kinds of what was asked for `key`.
    pub(crate) fn requests(&self, key: &str) -> Vec<String> {
        with_key(&self.books().requests, key)
    }

    pub(crate) fn request_count(&self) -> usize {
        self.books().requests.len()
    }
}

fn with_key(lines: &[String], key: &str) -> Vec<String> {
    let split = lines.iter().filter_map(|line| line.split_once(' '));
    split.filter(|(_, of)| *of == key).map(|(kind, _)| kind.to_owned()).collect()
}

/// `charge <key>`, from the path or the header.
fn name(request: &Request) -> String {
    let path: Vec<&str> = request.uri().path().split('/').collect();
    match path[..] {
        [_, _, key, kind] => format!("{kind} {key}"),
        _ => format!("charge {}", request.headers()["idempotency-key"].to_str().unwrap()),
    }
}

async fn interfere(State(bank): State<BankDouble>, request: Request, next: Next) -> Response {
    let name = name(&request);
    let fault = {
        let mut books = bank.books();
        books.requests.push(name.clone());
        match books.faults.get_mut(&name) {
            Some((_, Some(0))) | None => None,
            Some((fault, times)) => {
                *times = times.map(|times| times - 1);
                Some(*fault)
            }
        }
    };
    match fault {
        None => next.run(request).await,
        Some(Fault::Failed) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::RequestLost) => std::future::pending().await,
        Some(Fault::AnswerLost) => {
            next.run(request).await;
            std::future::pending().await
        }
        Some(Fault::LongAnswer) => {
            let (head, body) = next.run(request).await.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let long = [body.to_vec(), vec![b' '; 16 << 20]].concat();
            (head.status, long).into_response()
        }
    }
}

async fn charge(
    State(bank): State<BankDouble>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    assert_eq!(body["reference"], key, "{body}");
    let mut books = bank.books();
    let no = json!({"status": "declined", "code": "amount_rule", "detail": "not today"});
    match books.held.get(&key) {
        Some(Held::Captured | Held::Refunded) => {
            (StatusCode::OK, Json(json!({"charge_id": format!("ch_{key}")})))
        }
        Some(Held::Declined) => (StatusCode::PAYMENT_REQUIRED, Json(no)),
        Some(Held::Voided) => (StatusCode::CONFLICT, Json(json!({"code": "voided"}))),
        None if books.declines.contains(&key) => {
            books.held.insert(key, Held::Declined);
            (StatusCode::PAYMENT_REQUIRED, Json(no))
        }
        None => {
            books.statement.push(format!("capture {key}"));
            books.held.insert(key.clone(), Held::Captured);
            (StatusCode::CREATED, Json(json!({"charge_id": format!("ch_{key}")})))
        }
    }
}

async fn void(State(bank): State<BankDouble>, Path(key): Path<String>) -> Json<Value> {
    let mut books = bank.books();
    if books.held.insert(key.clone(), Held::Voided) == Some(Held::Captured) {
        books.statement.push(format!("void {key}"));
    }
    Json(json!({"status": "voided"}))
}

async fn refund(
    State(bank): State<BankDouble>,
    Path(key): Path<String>,
) -> (StatusCode, Json<Value>) {
    let mut books = bank.books();
    match books.held.get(&key) {
        Some(Held::Captured) => {
            books.statement.push(format!("refund {key}"));
            books.held.insert(key, Held::Refunded);
            (StatusCode::CREATED, Json(json!({"status": "refunded"})))
        }
        Some(Held::Refunded) => (StatusCode::OK, Json(json!({"status": "refunded"}))),
        Some(Held::Declined | Held::Voided) | None => {
            (StatusCode::NOT_FOUND, Json(json!({"code": "not_found"})))
        }
    }
}
