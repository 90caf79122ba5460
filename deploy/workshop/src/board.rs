//! [`Board`]: which faults are on. Each is undone when its time is over, when a person switches it
//! off, and when the shop ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use client::{Dirs, Progress, State};
use load::chaos::Breaker;
use load::chaos::plan::Fault;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::NAME;
use crate::switches::{SWITCHES, Switch};

/// The switches of one shop. Clones share them.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dirs: Dirs,
    state: State,
    progress: Progress,
    now: Mutex<Now>,
    undoing: TaskTracker,
}

#[derive(Debug, Default)]
struct Now {
    on: BTreeMap<&'static str, On>,
    ended: BTreeMap<&'static str, Ended>,
    /// The shop ends: nothing is switched on any more.
    is_closed: bool,
}

#[derive(Debug)]
struct On {
    since: Instant,
    lasts: Duration,
    /// What it is done to: nothing else is done to that meanwhile.
    process: String,
    stop: CancellationToken,
}

#[derive(Clone, Debug)]
struct Ended {
    at: Instant,
    failed: Option<String>,
}

/// Why a switch does not move.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// It is on.
    IsOn,
    /// It is off.
    IsOff,
    /// This other one is on, at the same process.
    Busy(&'static str),
    /// It does not last so long: what would be right.
    Lasts(String),
    /// The shop ends.
    Closed,
}

/// A switch as the page shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    switch: &'static Switch,
    /// `off`, `on`, or `ending`: it is being undone.
    state: &'static str,
    /// Until it ends by itself; none while it is off or ends, and for what happens at once.
    seconds_left: Option<f64>,
    last: Option<Last>,
}

/// How a switch was on the last time.
#[derive(Debug, Serialize)]
struct Last {
    seconds_ago: f64,
    /// Why it could not be done or undone, if so.
    failed: Option<String>,
}

impl Board {
    /// Everything is off.
    ///
    /// # Errors
    /// When the shop lacks a server that is to be broken.
    pub fn new(dirs: &Dirs, state: &State, progress: Progress) -> Result<Self> {
        let board = Self(Arc::new(Inner {
            dirs: dirs.clone(),
            state: state.clone(),
            progress,
            now: Mutex::default(),
            undoing: TaskTracker::new(),
        }));
        board.breaker(CancellationToken::new())?;
        Ok(board)
    }

    /// Every switch with its state.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let now = self.now();
        let shown = |switch: &'static Switch| {
            let on = now.on.get(switch.name);
            let left = on.map(|on| on.lasts.saturating_sub(on.since.elapsed()));
            let is_ending = on.is_some_and(|on| on.stop.is_cancelled())
                || left.is_some_and(|left| left.is_zero());
            let last = now.ended.get(switch.name).map(|ended| Last {
                seconds_ago: ended.at.elapsed().as_secs_f64(),
                failed: ended.failed.clone(),
            });
            Shown {
                switch,
                state: match (on, is_ending) {
                    (None, _) => "off",
                    (Some(_), false) => "on",
                    (Some(_), true) => "ending",
                },
                seconds_left: left.filter(|_| !is_ending).map(|left| left.as_secs_f64()),
                last,
            }
        };
        SWITCHES.iter().map(shown).collect()
    }

    /// Switches a fault on, for `seconds` or as long as it usually lasts.
    ///
    /// # Errors
    /// Why not.
    pub fn switch_on(&self, switch: &'static Switch, seconds: Option<u64>) -> Result<(), Refused> {
        let lasts = switch.lasts(seconds).map_err(Refused::Lasts)?;
        let (act, stop) = (switch.act(), CancellationToken::new());
        let process = act.process().to_owned();
        let mut now = self.now();
        if now.is_closed {
            return Err(Refused::Closed);
        }
        if now.on.contains_key(switch.name) {
            return Err(Refused::IsOn);
        }
        if let Some((other, _)) = now.on.iter().find(|(_, on)| on.process == process) {
            return Err(Refused::Busy(other));
        }
        let since = Instant::now();
        now.on.insert(switch.name, On { since, lasts, process, stop: stop.clone() });
        let board = self.clone();
        self.0.undoing.spawn(async move {
            let fault = Fault { at: Duration::ZERO, lasts, act };
            let breaker = board.breaker(stop);
            // A task of its own, so that the switch is off even after a panic.
            let done = tokio::spawn(async move { anyhow::Ok(breaker?.one(&fault).await.failed) });
            let failed = match done.await {
                Ok(Ok(failed)) => failed,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(panicked) => Some(panicked.to_string()),
            };
            let mut now = board.now();
            now.on.remove(switch.name);
            now.ended.insert(switch.name, Ended { at: Instant::now(), failed });
        });
        Ok(())
    }

    /// Undoes a fault before its time.
    ///
    /// # Errors
    /// When it is off.
    pub fn switch_off(&self, switch: &Switch) -> Result<(), Refused> {
        let now = self.now();
        let on = now.on.get(switch.name).ok_or(Refused::IsOff)?;
        on.stop.cancel();
        Ok(())
    }

    /// Undoes everything, and waits until that is done. Nothing can be switched on after it.
    pub async fn close(&self) {
        {
            let mut now = self.now();
            now.is_closed = true;
            now.on.values().for_each(|on| on.stop.cancel());
        }
        self.0.undoing.close();
        self.0.undoing.wait().await;
    }

    fn breaker(&self, stop: CancellationToken) -> Result<Breaker> {
        Breaker::new(NAME, &self.0.dirs, &self.0.state, stop, self.0.progress)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().expect("no code panics while it holds the board")
    }
}
