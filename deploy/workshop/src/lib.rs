//! The server behind the page's Workshop: what breaks a shop on purpose and mends it, for people
//! who want to see what holds.
//!
//! - [`switches`]: every fault switch, with what to watch and what must hold.
//! - [`board`]: which of them are on. Each ends by itself, and with the shop.
//! - [`letters`]: the records that a service could not handle; replayed or discarded.
//! - [`audits`]: the auditor, at a button.
//! - `guard`: who may ask: the page of this shop, from this machine.
//!
//! It is a part of the program that keeps the shop, so no service calls another one: the page in a
//! browser talks to it, as it talks to orders and to the view.

pub mod audits;
pub mod board;
mod guard;
mod http;
pub mod letters;
pub mod switches;

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Dirs, Progress, State};
use service_kit::{CallerSettings, Guarded, Lifecycle, Limits, Running, Shutdown};

use audits::Audits;
use board::Board;

/// The name of its port and its address among those of the shop.
pub const NAME: &str = "workshop";

/// How long the faults may take to be undone at the end; then the shop ends all the same, and with
/// it whatever was broken.
const END_MAX: Duration = Duration::from_secs(15);

/// The page asks for one thing at a time, and a person has few pages open.
const LIMITS: Limits = Limits {
    body_bytes_max: 16 * 1024,
    body_timeout: Duration::from_secs(5),
    in_flight_max: 32,
    request_timeout: Duration::from_secs(60),
};

/// A Workshop that serves. It goes on if this is dropped; [`Workshop::end`] ends it.
#[derive(Debug)]
pub struct Workshop {
    board: Board,
    shutdown: Shutdown,
    running: Running,
}

impl Workshop {
    /// Serves the Workshop of the shop that `state` describes, on its port `workshop`.
    ///
    /// # Errors
    /// When the port is taken, or the shop lacks a server.
    pub async fn begin(dirs: &Dirs, state: &State, progress: Progress) -> Result<Self> {
        let port = *state.ports.get(NAME).context("the shop has no port for the Workshop")?;
        let shutdown = Shutdown::new();
        let board = Board::new(dirs, state, progress)?;
        let app = http::App {
            board: board.clone(),
            audits: Audits::new(state.clone()),
            kafka: state.url("kafka")?.to_owned(),
            socket: dirs.control_socket(),
        };
        let view = state.url("view")?;
        let routes = Guarded::public(http::router(app, view, port)?).for_the_page_at(view);
        let (lifecycle, address) =
            (Lifecycle::new(shutdown.clone()), (Ipv4Addr::LOCALHOST, port).into());
        let serving = lifecycle
            .serve((address, &CallerSettings::default()), routes, LIMITS)
            .await
            .context("the Workshop cannot be served; `--port workshop=N` moves it")?;
        Ok(Self { board, shutdown, running: serving.registered() })
    }

    /// Switches everything off, and serves no more. Call it while the shop's processes still run.
    pub async fn end(self) {
        // What is not undone in time ends with the process that it was done to.
        let _ = tokio::time::timeout(END_MAX, self.board.close()).await;
        self.shutdown.cancel();
        let _ = tokio::time::timeout(END_MAX, self.running.stopped()).await;
    }
}
