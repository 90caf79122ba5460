//! The part of mailpit's HTTP API that tests and people need, and a page that shows the mails.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::faults::{Faults, Weather};
use crate::mailbox::Mailbox;

const LIMIT_DEFAULT: usize = 50;
/// More mails are not listed at once.
const LIMIT_MAX: usize = 5_000;
const PAGE: &str = include_str!("page.html");

/// What the connections and the requests share.
pub(crate) struct Sink {
    pub(crate) mailbox: Mutex<Mailbox>,
    pub(crate) weather: Mutex<Weather>,
}

/// A part of a [`Sink`], to look at or to change.
pub(crate) fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().expect("no code panics while it holds a part of the sink")
}

/// Every route.
pub(crate) fn router(sink: Arc<Sink>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/readyz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/api/v1/info", get(info))
        .route("/api/v1/messages", get(list).delete(clear))
        .route("/api/v1/message/{id}", get(show))
        .route("/faults", get(show_faults).put(set_faults))
        .with_state(sink)
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    start: usize,
    #[serde(default = "limit_default")]
    limit: usize,
}

fn limit_default() -> usize {
    LIMIT_DEFAULT
}

/// The part of mailpit's answer from which an auditor sees whether mails are missing here.
async fn info(State(sink): State<Arc<Sink>>) -> impl IntoResponse {
    let mailbox = lock(&sink.mailbox);
    Json(serde_json::json!({
        "Messages": mailbox.len(),
        "RuntimeStats": { "Uptime": mailbox.uptime_s(), "SMTPAccepted": mailbox.accepted() },
    }))
}

async fn list(State(sink): State<Arc<Sink>>, Query(range): Query<Range>) -> impl IntoResponse {
    let mailbox = lock(&sink.mailbox);
    let page = mailbox.page(range.start, range.limit.min(LIMIT_MAX));
    Json(serde_json::json!({
        "total": mailbox.len(),
        "unread": mailbox.len(),
        "count": page.len(),
        "messages_count": mailbox.len(),
        "start": range.start,
        "messages": page,
    }))
}

async fn show(State(sink): State<Arc<Sink>>, Path(id): Path<String>) -> impl IntoResponse {
    lock(&sink.mailbox).find(&id).map(Json).ok_or((StatusCode::NOT_FOUND, "no such mail"))
}

async fn clear(State(sink): State<Arc<Sink>>) -> impl IntoResponse {
    lock(&sink.mailbox).clear();
    "ok"
}

async fn show_faults(State(sink): State<Arc<Sink>>) -> Json<Faults> {
    Json(lock(&sink.weather).faults().clone())
}

async fn set_faults(State(sink): State<Arc<Sink>>, Json(faults): Json<Faults>) -> Response {
    match faults.checked() {
        Ok(faults) => {
            *lock(&sink.weather) = Weather::new(faults.clone());
            Json(faults).into_response()
        }
        Err(errors) => {
            let title = "these faults cannot be switched on";
            let problem = serde_json::json!({ "status": 422, "title": title, "errors": errors });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(problem)).into_response()
        }
    }
}
