//! A mail server that delivers nothing: SMTP by mailcrab, and the part of mailpit's HTTP API that tests
//! and people need, so that the same calls work against either.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use mailcrab::MailMessage;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// The oldest mail makes room for the newest.
const MAILS_MAX: usize = 50_000;
/// Mails that were accepted and are not stored yet.
const QUEUE_MAX: usize = 16_384;
const LIMIT_DEFAULT: usize = 50;
const PAGE: &str = include_str!("page.html");

/// A mail address as mailpit shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    #[serde(alias = "name", default, deserialize_with = "or_empty")]
    name: String,
    #[serde(alias = "email", default, deserialize_with = "or_empty")]
    address: String,
}

/// A mail as mailpit lists it.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MessageID")]
    message_id: String,
    #[serde(rename = "From")]
    from: Address,
    #[serde(rename = "To")]
    to: Vec<Address>,
    #[serde(rename = "Subject")]
    subject: String,
    #[serde(rename = "Created")]
    created: String,
    #[serde(rename = "Snippet")]
    snippet: String,
}

/// A whole mail as mailpit shows it.
#[derive(Clone, Debug, Serialize)]
struct Mail {
    #[serde(flatten)]
    summary: Summary,
    #[serde(rename = "Text")]
    text: String,
    #[serde(rename = "HTML")]
    html: String,
}

/// What mailcrab tells of a mail: its fields are private, its serialised form is not.
#[derive(Deserialize)]
struct Parsed {
    id: String,
    from: Address,
    to: Vec<Address>,
    subject: String,
    headers: HashMap<String, String>,
    text: String,
    html: String,
}

/// What has been received.
struct Mailbox {
    /// The newest first.
    mails: VecDeque<Mail>,
    /// All that were ever accepted: how many of them are still here is for whoever counts.
    accepted: usize,
    started: Instant,
}

type Mails = Arc<Mutex<Mailbox>>;

/// Serves SMTP and HTTP until the process ends.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn serve(smtp: SocketAddr, http: SocketAddr, stop: CancellationToken) -> Result<()> {
    let mails = Arc::new(Mutex::new(Mailbox::new()));
    let (sender, receiver) = broadcast::channel(QUEUE_MAX);
    // mailcrab would only log this, and the sink would look healthy without SMTP.
    drop(TcpListener::bind(smtp).await.with_context(|| format!("cannot listen on {smtp}"))?);
    let listener =
        TcpListener::bind(http).await.with_context(|| format!("cannot listen on {http}"))?;
    tokio::spawn(keep(receiver, Arc::clone(&mails)));
    let server = mailcrab::mail_server(smtp.ip(), smtp.port(), sender, false, stop.clone());
    let smtp_ended = tokio::spawn(server);
    axum::serve(listener, router(mails))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await?;
    smtp_ended.abort();
    Ok(())
}

impl Mailbox {
    fn new() -> Self {
        Self { mails: VecDeque::new(), accepted: 0, started: Instant::now() }
    }

    fn keep(&mut self, mail: Mail) {
        self.accepted += 1;
        self.mails.push_front(mail);
        self.mails.truncate(MAILS_MAX);
    }
}

fn router(mails: Mails) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/readyz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route("/api/v1/info", get(info))
        .route("/api/v1/messages", get(list).delete(clear))
        .route("/api/v1/message/{id}", get(show))
        .with_state(mails)
}

async fn keep(mut receiver: broadcast::Receiver<MailMessage>, mails: Mails) {
    loop {
        match receiver.recv().await {
            Ok(message) => match read(&message, SystemTime::now()) {
                Ok(mail) => lock(&mails).keep(mail),
                Err(error) => tracing::warn!("a mail could not be read: {error:#}"),
            },
            Err(RecvError::Lagged(count)) => tracing::warn!(count, "mails came too fast, lost"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn read(message: &MailMessage, at: SystemTime) -> Result<Mail> {
    const SNIPPET_CHARS: usize = 250;
    let parsed: Parsed = serde_json::from_value(serde_json::to_value(message)?)?;
    let mut headers = parsed.headers.iter();
    let message_id = headers.find(|(name, _)| name.eq_ignore_ascii_case("message-id"));
    let message_id = message_id.map_or("", |(_, value)| value.trim());
    let words: Vec<&str> = parsed.text.split_whitespace().collect();
    let summary = Summary {
        id: parsed.id,
        message_id: message_id.trim_start_matches('<').trim_end_matches('>').to_owned(),
        from: parsed.from,
        to: parsed.to,
        subject: parsed.subject,
        created: rfc3339(at),
        snippet: words.join(" ").chars().take(SNIPPET_CHARS).collect(),
    };
    Ok(Mail { summary, text: parsed.text, html: parsed.html })
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
        "Messages": mailbox.mails.len(),
        "RuntimeStats": {
            "Uptime": mailbox.started.elapsed().as_secs(),
            "SMTPAccepted": mailbox.accepted,
        },
    }))
}

async fn list(State(mails): State<Mails>, Query(range): Query<Range>) -> impl IntoResponse {
    let mails = &lock(&mails).mails;
    let page = mails.iter().skip(range.start).take(range.limit).map(|mail| &mail.summary);
    let page: Vec<Summary> = page.cloned().collect();
    Json(serde_json::json!({
        "total": mails.len(),
        "unread": mails.len(),
        "count": page.len(),
        "messages_count": mails.len(),
        "start": range.start,
        "messages": page,
    }))
}

async fn show(State(mails): State<Mails>, Path(id): Path<String>) -> impl IntoResponse {
    let mail = lock(&mails).mails.iter().find(|mail| mail.summary.id == id).cloned();
    mail.map(Json).ok_or((StatusCode::NOT_FOUND, "no such mail"))
}

async fn clear(State(mails): State<Mails>) -> impl IntoResponse {
    lock(&mails).mails.clear();
    "ok"
}

fn lock(mails: &Mails) -> std::sync::MutexGuard<'_, Mailbox> {
    mails.lock().expect("no code panics while it holds the mails")
}

fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// A time as RFC 3339 in UTC with milliseconds. The calendar is Howard Hinnant's `civil_from_days`.
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let at = |millis| rfc3339(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(at(1_795_251_599_000), "2026-11-21T08:59:59.000Z");
    }
}
