//! The bank over HTTP. Declines are answers (402); what the caller did wrong is a problem.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use service_kit::{Problem, Shutdown, ValidJson, ValidPath, ValidQuery};

use crate::{
    bank::Bank,
    faults::{Fate, Faults},
    ledger::{Answer, Charge, ChargeOrder, Declined, Filter, Request, Statement},
};

/// How long the client of a lost request or answer is left waiting.
const LOST_FOR: Duration = Duration::from_secs(30);

/// Largest amount that can be charged, in minor units: a million.
const AMOUNT_MINOR_MAX: i64 = 100_000_000;

/// Longest idempotency key, customer and reference, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// Most entries on a page, and how many there are unless asked for otherwise.
const PAGE_MAX: usize = 10_000;
const PAGE_DEFAULT: usize = 1_000;

#[derive(Clone)]
struct App {
    bank: Arc<Bank>,
    shutdown: Shutdown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    amount_minor: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementQuery {
    customer: Option<String>,
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclinesQuery {
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct KeyedCharge {
    key: String,
    #[serde(flatten)]
    charge: Charge,
}

/// The routes of the bank; requests that hang are let go at `shutdown`.
pub fn router(bank: Arc<Bank>, shutdown: Shutdown) -> Router {
    let app = App { bank, shutdown };
    Router::new()
        .route("/charges", post(charge))
        .route("/charges/{key}", get(show))
        .route("/charges/{key}/void", post(void))
        .route("/charges/{key}/refund", post(refund))
        .route("/declines", get(declines))
        .route_layer(from_fn_with_state(app.clone(), interfere))
        .route("/statement", get(statement))
        .route("/faults", get(show_faults).put(set_faults))
        .with_state(app)
}

/// Lets happen to a request what the faults want.
async fn interfere(State(app): State<App>, request: HttpRequest, next: Next) -> Response {
    let interference = app.bank.interfere();
    // Even a sleep of nothing ends with the timer's next millisecond.
    if !interference.latency.is_zero() {
        app.shutdown.run_until_cancelled(tokio::time::sleep(interference.latency)).await;
    }
    match interference.fate {
        Fate::Answered => next.run(request).await,
        Fate::Failed => simulated(StatusCode::INTERNAL_SERVER_ERROR, "simulated_error"),
        Fate::Outage => simulated(StatusCode::SERVICE_UNAVAILABLE, "simulated_outage"),
        Fate::RequestLost => lost(&app.shutdown).await,
        Fate::AnswerLost => {
            next.run(request).await;
            lost(&app.shutdown).await
        }
    }
}

async fn lost(shutdown: &Shutdown) -> Response {
    shutdown.run_until_cancelled(tokio::time::sleep(LOST_FOR)).await;
    simulated(StatusCode::GATEWAY_TIMEOUT, "simulated_timeout")
}

fn simulated(status: StatusCode, code: &'static str) -> Response {
    Problem::new(status, code, "A fault that was switched on").into_response()
}

async fn charge(
    State(app): State<App>,
    headers: HeaderMap,
    ValidJson(order): ValidJson<ChargeOrder>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    book(&app, &key, Request::Charge(checked(order)?))
}

async fn void(
    State(app): State<App>,
    ValidPath(key): ValidPath<String>,
) -> Result<Response, Problem> {
    book(&app, &checked_key(key)?, Request::Void)
}

async fn refund(
    State(app): State<App>,
    ValidPath(key): ValidPath<String>,
    ValidJson(RefundBody { amount_minor }): ValidJson<RefundBody>,
) -> Result<Response, Problem> {
    book(&app, &checked_key(key)?, Request::Refund { amount_minor })
}

fn book(app: &App, key: &str, request: Request) -> Result<Response, Problem> {
    let answer = app.bank.book(key, request).map_err(|error| Problem::internal(&error))?;
    told(key, answer)
}

/// Puts an answer of the ledger into the words of HTTP.
fn told(key: &str, answer: Answer) -> Result<Response, Problem> {
    let conflict = |code, title: &'static str| Problem::new(StatusCode::CONFLICT, code, title);
    let made = |repeated| if repeated { StatusCode::OK } else { StatusCode::CREATED };
    let (status, body) = match answer {
        Answer::Captured { charge_id, repeated } => {
            (made(repeated), json!({"charge_id": charge_id, "status": "captured"}))
        }
        Answer::Refunded { refund_id, repeated } => {
            (made(repeated), json!({"refund_id": refund_id, "status": "refunded"}))
        }
        Answer::Declined(decline) => (
            StatusCode::PAYMENT_REQUIRED,
            json!({"status": "declined", "code": decline.code, "detail": decline.detail}),
        ),
        Answer::Voided => (StatusCode::OK, json!({"status": "voided"})),
        Answer::AlreadyVoided => (StatusCode::OK, json!({"status": "already_voided"})),
        Answer::UnknownCharge => return Err(unknown(key)),
        Answer::KeyVoided => return Err(conflict("voided", "The charge was voided")),
        Answer::AlreadyRefunded => return Err(conflict("refunded", "The charge was refunded")),
        Answer::NotCaptured => return Err(conflict("not_captured", "The charge was declined")),
        Answer::KeyReused => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let title = "The idempotency key belongs to another charge";
            return Err(Problem::new(status, "idempotency_key_reused", title));
        }
        Answer::AmountDiffers { captured_minor } => {
            let detail = format!("must be what was captured, which is {captured_minor}");
            return Err(Problem::invalid("only the whole amount can be refunded").field(
                "amount_minor",
                "differs",
                detail,
            ));
        }
    };
    Ok((status, Json(body)).into_response())
}

async fn show(
    State(app): State<App>,
    ValidPath(key): ValidPath<String>,
) -> Result<Json<KeyedCharge>, Problem> {
    let charge = app.bank.read(|ledger| ledger.charge(&key).cloned());
    match charge {
        Some(charge) => Ok(Json(KeyedCharge { key, charge })),
        None => Err(unknown(&key)),
    }
}

async fn statement(
    State(app): State<App>,
    ValidQuery(query): ValidQuery<StatementQuery>,
) -> Result<Json<Statement>, Problem> {
    let limit = page_size(query.limit)?;
    let filter = Filter { customer: query.customer, since: query.since, limit };
    Ok(Json(app.bank.read(|ledger| ledger.statement(&filter))))
}

async fn declines(
    State(app): State<App>,
    ValidQuery(query): ValidQuery<DeclinesQuery>,
) -> Result<Json<Vec<Declined>>, Problem> {
    let limit = page_size(query.limit)?;
    Ok(Json(app.bank.read(|ledger| ledger.declines(limit))))
}

async fn show_faults(State(app): State<App>) -> Json<Faults> {
    Json(app.bank.faults())
}

async fn set_faults(
    State(app): State<App>,
    ValidJson(faults): ValidJson<Faults>,
) -> Result<Json<Faults>, Problem> {
    let faults = faults.checked()?;
    tracing::info!("faults are now {faults:?}");
    app.bank.set_faults(faults.clone());
    Ok(Json(faults))
}

fn unknown(key: &str) -> Problem {
    Problem::not_found(format!("there is no charge with the key {key}"))
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Err(Problem::invalid("a charge needs a key, so that it can be repeated safely")
            .field("Idempotency-Key", "missing", "send this header"));
    };
    checked_key(value.to_str().unwrap_or_default().to_owned())
}

fn checked_key(key: String) -> Result<String, Problem> {
    if is_text(&key) {
        return Ok(key);
    }
    Err(Problem::invalid("the key is not valid").field(
        "Idempotency-Key",
        "invalid",
        format!("must have 1 to {TEXT_BYTES_MAX} visible characters"),
    ))
}

fn checked(order: ChargeOrder) -> Result<ChargeOrder, Problem> {
    let mut problem = Problem::invalid("the charge is not valid");
    if !(1..=AMOUNT_MINOR_MAX).contains(&order.amount_minor) {
        let detail = format!("must be between 1 and {AMOUNT_MINOR_MAX}");
        problem = problem.field("amount_minor", "out_of_range", detail);
    }
    if order.currency.len() != 3 || !order.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let detail = "must be an ISO 4217 code, such as EUR";
        problem = problem.field("currency", "invalid", detail);
    }
    for (field, text) in [("customer", &order.customer), ("reference", &order.reference)] {
        if !is_text(text) {
            let detail = format!("must have 1 to {TEXT_BYTES_MAX} visible characters");
            problem = problem.field(field, "invalid", detail);
        }
    }
    if problem.errors().is_empty() { Ok(order) } else { Err(problem) }
}

fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn page_size(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("must be between 1 and {PAGE_MAX}");
    Err(Problem::invalid("the page is not valid").field("limit", "out_of_range", detail))
}
