//! Liveness and readiness.
//!
//! *Live* means that the process answers; it depends on nothing else, because a restart does not
//! bring back a broker. *Ready* means that every named check is up.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// The checks of one service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    checks: Arc<Mutex<Vec<Check>>>,
}

/// The handle by which the owner of one check says how it is. Clones speak for the same check.
#[derive(Clone, Debug)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<Check>>>,
    index: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    name: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Up,
    Down,
}

#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    checks: Vec<Check>,
}

impl Health {
    /// No checks yet: ready at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It is down, as "starting", until its owner says otherwise.
    pub fn check(&self, name: impl Into<String>) -> Readiness {
        let mut checks = self.checks.lock();
        let detail = Some("starting".to_owned());
        checks.push(Check { name: name.into(), status: Status::Down, detail });
        Readiness { checks: Arc::clone(&self.checks), index: checks.len() - 1 }
    }

    /// Whether every check is up.
    pub fn is_ready(&self) -> bool {
        self.checks.lock().iter().all(|check| check.status == Status::Up)
    }

    /// `GET /health/live` and `GET /health/ready`; [`serve`](crate::serve) mounts it.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .with_state(self.clone())
    }
}

impl Readiness {
    /// Keep the check in step with `state` until its sender is gone: down with what `problem` says
    /// of it, up where it says nothing.
    pub async fn follow<T>(
        self,
        mut state: watch::Receiver<T>,
        problem: impl Fn(&T) -> Option<String>,
    ) {
        loop {
            match problem(&state.borrow_and_update()) {
                Some(problem) => self.down(problem),
                None => self.up(),
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// The check passes.
    pub fn up(&self) {
        self.set(Status::Up, None);
    }

    /// The check fails; `detail` says what the service waits for.
    pub fn down(&self, detail: impl Into<String>) {
        self.set(Status::Down, Some(detail.into()));
    }

    fn set(&self, status: Status, detail: Option<String>) {
        let mut checks = self.checks.lock();
        checks[self.index].status = status;
        checks[self.index].detail = detail;
    }
}

async fn live() -> Json<Report> {
    Json(Report { status: "live", checks: Vec::new() })
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Report>) {
    let (code, status) = match health.is_ready() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let checks = health.checks.lock().clone();
    (code, Json(Report { status, checks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_check_is_up() {
        let health = Health::new();
        assert!(health.is_ready());
        let (kafka, database) = (health.check("kafka"), health.check("database"));
        kafka.up();
        assert!(!health.is_ready(), "the database has not said anything yet");
        database.up();
        assert!(health.is_ready());
        kafka.down("waiting for 127.0.0.1:9092");
        assert!(!health.is_ready());
        kafka.clone().up();
        assert!(health.is_ready());
    }
}
