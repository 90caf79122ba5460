//! What the page asks for, as JSON.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use client::ProcessStatus;
use client::control::{Request, ask};
use contracts::topics;
use serde::{Deserialize, Serialize};
use service_kit::{Problem, ValidJson, ValidPath};
use streams_kafka::dlq::{Done, LetterId, settle};

use crate::audits::{self, Audits};
use crate::board::{Board, Refused, Shown};
use crate::guard::{Guard, guard};
use crate::letters::{Cause, by_cause, find, waiting};
use crate::switches::Switch;

/// Most dead letters of one request: each is a transaction, which takes a moment.
const LETTERS_MAX: usize = 20;

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) board: Board,
    pub(crate) audits: Audits,
    /// Where Kafka listens.
    pub(crate) kafka: String,
    /// Where the keeper of the shop listens.
    pub(crate) socket: PathBuf,
}

/// Every route, for the page at `view_url`, on `port`.
pub(crate) fn router(app: App, view_url: &str, port: u16) -> anyhow::Result<Router> {
    let known = Guard::new(view_url, port);
    let routes = Router::new()
        .route("/switches", get(switches))
        .route("/switches/{name}", post(switch_on).delete(switch_off))
        .route("/processes", get(processes))
        .route("/dead-letters", get(dead_letters))
        .route("/dead-letters/replay", post(replay))
        .route("/dead-letters/discard", post(discard))
        .route("/audit", get(audit).post(look))
        .with_state(app)
        .layer(known.cors())
        .layer(from_fn_with_state(known, guard));
    Ok(routes)
}

#[derive(Serialize)]
struct Switches {
    switches: Vec<Shown>,
}

/// `POST /switches/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// How long; as usual, if left out.
    seconds: Option<u64>,
}

fn named(name: &str) -> Result<&'static Switch, Problem> {
    Switch::find(name).ok_or_else(|| Problem::not_found(format!("there is no switch `{name}`")))
}

fn told(refused: Refused) -> Problem {
    let conflict =
        |detail: String| Problem::new(StatusCode::CONFLICT, "conflict", "Not now").detail(detail);
    match refused {
        Refused::IsOn => conflict("it is on already; it ends by itself".to_owned()),
        Refused::IsOff => conflict("it is off".to_owned()),
        Refused::Busy(other) => {
            conflict(format!("`{other}` is on, and concerns the same process: switch it off first"))
        }
        Refused::Lasts(right) => {
            Problem::invalid("it cannot be switched on").field("seconds", "out_of_range", right)
        }
        Refused::Closed => conflict("the shop ends".to_owned()),
    }
}

async fn switches(State(app): State<App>) -> Json<Switches> {
    Json(Switches { switches: app.board.shown() })
}

async fn switch_on(
    State(app): State<App>,
    ValidPath(name): ValidPath<String>,
    ValidJson(Wanted { seconds }): ValidJson<Wanted>,
) -> Result<(StatusCode, Json<Switches>), Problem> {
    app.board.switch_on(named(&name)?, seconds).map_err(told)?;
    Ok((StatusCode::ACCEPTED, Json(Switches { switches: app.board.shown() })))
}

async fn switch_off(
    State(app): State<App>,
    ValidPath(name): ValidPath<String>,
) -> Result<(StatusCode, Json<Switches>), Problem> {
    app.board.switch_off(named(&name)?).map_err(told)?;
    Ok((StatusCode::ACCEPTED, Json(Switches { switches: app.board.shown() })))
}

#[derive(Serialize)]
struct Processes {
    processes: Vec<ProcessStatus>,
}

async fn processes(State(app): State<App>) -> Result<Json<Processes>, Problem> {
    let asked = ask(&app.socket, &Request::Status).await.and_then(|reply| reply.processes());
    let processes = asked.map_err(|error| Problem::unavailable(format!("{error:#}")))?;
    Ok(Json(Processes { processes }))
}

#[derive(Serialize)]
struct DeadLetters {
    /// All that wait.
    count: usize,
    causes: Vec<Cause>,
}

async fn dead_letters(State(app): State<App>) -> Result<Json<DeadLetters>, Problem> {
    let letters = blocking(move || waiting(&app.kafka)).await.map_err(away)?;
    let count = letters.len();
    Ok(Json(DeadLetters { count, causes: by_cause(letters) }))
}

/// `POST /dead-letters/replay` and `/dead-letters/discard`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letters {
    /// Such as `orders/2/17`.
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Settled {
    letters: Vec<SettledLetter>,
}

#[derive(Serialize)]
struct SettledLetter {
    id: String,
    /// Why it could not be done, if so.
    problem: Option<String>,
}

async fn replay(state: State<App>, letters: ValidJson<Letters>) -> Result<Json<Settled>, Problem> {
    settle_all(state, letters, Done::Replayed).await
}

async fn discard(state: State<App>, letters: ValidJson<Letters>) -> Result<Json<Settled>, Problem> {
    settle_all(state, letters, Done::Discarded).await
}

/// One after the other, so that one that cannot be replayed holds up no other.
async fn settle_all(
    State(app): State<App>,
    ValidJson(Letters { ids }): ValidJson<Letters>,
    done: Done,
) -> Result<Json<Settled>, Problem> {
    let wrong = || Problem::invalid("these dead letters cannot be dealt with");
    if !(1..=LETTERS_MAX).contains(&ids.len()) {
        let detail = format!("must have 1 to {LETTERS_MAX} members");
        return Err(wrong().field("ids", "out_of_range", detail));
    }
    let mut parsed: Vec<LetterId> = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let invalid = |detail| wrong().field(format!("ids[{index}]"), "invalid", detail);
        parsed.push(id.parse().map_err(invalid)?);
    }
    let settle_one = move |id: LetterId| {
        let letter = find(&app.kafka, &id);
        let settled = letter.and_then(|letter| settle(&app.kafka, &letter, done, &topics::ALL));
        let problem = settled.err().map(|error| format!("{error:#}"));
        SettledLetter { id: id.to_string(), problem }
    };
    let all = move || Ok(parsed.into_iter().map(settle_one).collect());
    Ok(Json(Settled { letters: blocking(all).await.map_err(away)? }))
}

async fn look(State(app): State<App>) -> (StatusCode, Json<audits::Shown>) {
    app.audits.look();
    (StatusCode::ACCEPTED, Json(app.audits.shown()))
}

async fn audit(State(app): State<App>) -> Json<audits::Shown> {
    Json(app.audits.shown())
}

/// What blocks on Kafka.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn away(error: anyhow::Error) -> Problem {
    Problem::unavailable(format!("{error:#}"))
}
