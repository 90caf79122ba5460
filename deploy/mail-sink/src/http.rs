//! The part of mailpit's HTTP API that tests and people need, and a page that shows the mails.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::mailbox::Mailbox;

const LIMIT_DEFAULT: usize = 50;
/// More mails are not listed at once.
const LIMIT_MAX: usize = 5_000;
const PAGE: &str = include_str!("page.html");

/// The mails, for the connections that bring them and the requests that read them.
pub(crate) type Mails = Arc<Mutex<Mailbox>>;

/// The mails, to look at or to change.
pub(crate) fn lock(mails: &Mails) -> MutexGuard<'_, Mailbox> {
    mails.lock().expect("no code panics while it holds the mails")
}

/// Every route.
pub(crate) fn router(mails: Mails) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/readyz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/api/v1/info", get(info))
        .route("/api/v1/messages", get(list).delete(clear))
        .route("/api/v1/message/{id}", get(show))
        .with_state(mails)
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
async fn info(State(mails): State<Mails>) -> impl IntoResponse {
    let mailbox = lock(&mails);
    Json(serde_json::json!({
        "Messages": mailbox.len(),
        "RuntimeStats": { "Uptime": mailbox.uptime_s(), "SMTPAccepted": mailbox.accepted() },
    }))
}

async fn list(State(mails): State<Mails>, Query(range): Query<Range>) -> impl IntoResponse {
    let mailbox = lock(&mails);
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

async fn show(State(mails): State<Mails>, Path(id): Path<String>) -> impl IntoResponse {
    lock(&mails).find(&id).map(Json).ok_or((StatusCode::NOT_FOUND, "no such mail"))
}

async fn clear(State(mails): State<Mails>) -> impl IntoResponse {
    lock(&mails).clear();
    "ok"
}
