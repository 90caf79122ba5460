//! The page over HTTP, for this machine alone.

use crate::{
    asked::Asked,
    bundle::{element, page},
    files::{FILES, File, HTML, JS, facts},
    player::Player,
    tape::Tape,
};
use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use std::{
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};
use tokio::{net::TcpListener, sync::oneshot};

/// All is of this server, and nothing of any other.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HEAD: &str = r#"<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page/style.css">
<link rel="stylesheet" href="page/play.css">"#;

const SCRIPT: &str = r#"<script type="module" src="page/play.js"></script>"#;

/// Which piece of which run.
#[derive(Debug, Deserialize)]
struct Piece {
    from: u64,
    to: u64,
}

/// A question to the thread that makes the runs, and where its answer goes.
struct Question {
    asked: Asked,
    piece: Piece,
    answer: oneshot::Sender<Result<Tape, String>>,
}

#[derive(Clone)]
struct App {
    player: mpsc::Sender<Question>,
    index: String,
}

/// Serve the page at `port`, or at any if it is 0, until the process ends. `ready` is given its
/// address.
///
/// # Errors
/// When the port is taken, or the server fails.
pub(crate) async fn serve(port: u16, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!(
            "port {port} of this machine is not to be had: choose another one with --port, or \
             any that is free with --port 0"
        )
    })?;
    let index = page(&head(), &format!("{}{SCRIPT}", element("facts", &facts()?)));
    let app = App { player: start()?, index };
    let address = format!("http://{}", listener.local_addr()?);
    ready(&address);
    let router = Router::new()
        .route("/", get(self::index))
        .route("/page/{name}", get(file))
        .route("/tape", get(tape))
        .with_state(app);
    axum::serve(listener, router).await.context("the server has failed")
}

/// The head of the page, with each of its modules, so that the browser asks for all at once.
fn head() -> String {
    let modules = FILES.iter().filter(|file| file.media_type == JS);
    let link = |file: &File| format!("\n<link rel=\"modulepreload\" href=\"page/{}\">", file.name);
    [HEAD.to_owned()].into_iter().chain(modules.map(link)).collect()
}

/// One thread makes all runs: they are not to be moved.
fn start() -> anyhow::Result<mpsc::Sender<Question>> {
    let (player, questions) = mpsc::channel::<Question>();
    let make = move || {
        let mut player = Player::default();
        for Question { asked, piece, answer } in questions {
            // A deliberate fault may break more than a law: a run that panics says so, and is over.
            let made = catch_unwind(AssertUnwindSafe(|| player.play(&asked, piece.from, piece.to)));
            let made = made.unwrap_or_else(|_| {
                player = Player::default();
                Err(anyhow::anyhow!("a service has given up in this run: see the terminal"))
            });
            // A page that is gone needs no answer.
            let _ = answer.send(made.map_err(|error| format!("{error:#}")));
        }
    };
    thread::Builder::new().name("player".to_owned()).spawn(make)?;
    Ok(player)
}

async fn index(State(app): State<App>) -> Response {
    answer(HTML, app.index)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => answer(file.media_type, file.text.to_owned()),
        None => problem(StatusCode::NOT_FOUND, format!("the page has no file {name}")),
    }
}

async fn tape(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    Query(piece): Query<Piece>,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let gone = || problem(StatusCode::INTERNAL_SERVER_ERROR, "the player has ended".to_owned());
    if app.player.send(Question { asked, piece, answer }).is_err() {
        return gone();
    }
    match answered.await {
        Ok(Ok(tape)) => ([(header::CACHE_CONTROL, "no-store")], Json(tape)).into_response(),
        Ok(Err(why)) => problem(StatusCode::BAD_REQUEST, why),
        Err(_) => gone(),
    }
}

fn problem(status: StatusCode, detail: String) -> Response {
    (status, Json(json!({ "detail": detail }))).into_response()
}

fn answer(media_type: &'static str, text: String) -> Response {
    const NOSNIFF: HeaderName = header::X_CONTENT_TYPE_OPTIONS;
    let mut response = text.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        // A new build is a new page.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (NOSNIFF, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
