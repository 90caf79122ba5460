//! [`Audits`]: the auditor at a button: one look at a time, and the verdict of the last.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use auditor::{Law, Verdict, Violation};
use client::State;
use serde::Serialize;

/// What is younger is on its way, and not missing.
const GRACE: Duration = Duration::from_secs(15);
/// A look reads the whole log. One that takes longer is given up: the button is there again.
const LOOK_MAX: Duration = Duration::from_secs(180);

/// The looks at one shop. Clones share them.
#[derive(Clone, Debug)]
pub struct Audits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: State,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    looking_since: Option<Instant>,
    last: Option<Arc<Look>>,
}

#[derive(Debug)]
struct Look {
    ended: Instant,
    took: Duration,
    found: Result<Verdict, String>,
}

/// What the page shows of the audits.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// How long a look has been going on; none if there is none.
    looking_seconds: Option<f64>,
    last: Option<LastLook>,
}

/// The last look.
#[derive(Debug, Serialize)]
struct LastLook {
    seconds_ago: f64,
    took_seconds: f64,
    /// Why the shop could not be looked at, if so.
    problem: Option<String>,
    verdict: Option<VerdictShown>,
}

/// A verdict as the page shows it.
#[derive(Debug, Serialize)]
struct VerdictShown {
    orders: usize,
    violations: usize,
    pending: usize,
    unknown: usize,
    laws: Vec<LawShown>,
    remarks: Vec<String>,
}

/// A law with what was found.
#[derive(Debug, Serialize)]
struct LawShown {
    name: &'static str,
    statement: &'static str,
    checked: usize,
    violations: usize,
    pending: usize,
    unknown: usize,
    /// The first violations, each with its order if it is about one.
    found: Vec<Violation>,
}

impl Audits {
    /// No look yet at the shop of `state`.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self(Arc::new(Inner { state, now: Mutex::default() }))
    }

    /// Begins a look, unless one goes on.
    pub fn look(&self) {
        let begun = Instant::now();
        {
            let mut now = self.now();
            if now.looking_since.is_some() {
                return;
            }
            now.looking_since = Some(begun);
        }
        let audits = self.clone();
        tokio::spawn(async move {
            let state = audits.0.state.clone();
            // A task of its own, so that the button is there again even after a panic.
            let found = tokio::spawn(async move { verdict(&state).await }).await;
            let found = found.map_err(anyhow::Error::from).and_then(|found| found);
            let found = found.map_err(|error| format!("{error:#}"));
            let look = Look { ended: Instant::now(), took: begun.elapsed(), found };
            let mut now = audits.now();
            *now = Now { looking_since: None, last: Some(Arc::new(look)) };
        });
    }

    /// How far it is, and the last verdict.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let (looking, last) = {
            let now = self.now();
            (now.looking_since, now.last.clone())
        };
        let looking_seconds = looking.map(|since| since.elapsed().as_secs_f64());
        Shown { looking_seconds, last: last.as_deref().map(LastLook::of) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().expect("no code panics while it holds the audits")
    }
}

impl LastLook {
    fn of(look: &Look) -> Self {
        Self {
            seconds_ago: look.ended.elapsed().as_secs_f64(),
            took_seconds: look.took.as_secs_f64(),
            problem: look.found.as_ref().err().cloned(),
            verdict: look.found.as_ref().ok().map(VerdictShown::of),
        }
    }
}

impl VerdictShown {
    fn of(verdict: &Verdict) -> Self {
        let law = |law: &Law| {
            let tally = verdict.tallies.get(law).copied().unwrap_or_default();
            let of_law = verdict.violations.iter().filter(|violation| violation.law == *law);
            LawShown {
                name: law.name(),
                statement: law.statement(),
                checked: tally.checked,
                violations: tally.violations,
                pending: tally.pending,
                unknown: tally.unknown,
                found: of_law.cloned().collect(),
            }
        };
        Self {
            orders: verdict.orders,
            violations: verdict.violation_count(),
            pending: verdict.pending(),
            unknown: verdict.unknown(),
            laws: Law::ALL.iter().map(law).collect(),
            remarks: verdict.remarks.clone(),
        }
    }
}

async fn verdict(state: &State) -> Result<Verdict> {
    let evidence = tokio::time::timeout(LOOK_MAX, evidence::collect(state, GRACE)).await;
    let seconds = LOOK_MAX.as_secs();
    Ok(auditor::audit(&evidence.with_context(|| format!("not done after {seconds} s"))??))
}
