//! Liveness and readiness.
//!
//! *Live* means that the process answers; it depends on nothing else, because a restart does not
//! bring back a broker. *Ready* means that no named check is down. A check is *degraded* when the
//! service works, but a person should know of something: it answers 200 still, because what sends
//! requests elsewhere for a 503 would make an outage of it.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

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

/// Something that the service needs.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Check {
    name: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckStatus)]
enum Status {
    Up,
    Degraded,
    Down,
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct Report {
    /// live; ready, degraded or not_ready.
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

    /// Whether no check is down.
    pub fn is_ready(&self) -> bool {
        self.worst() != Status::Down
    }

    /// What is to be said of the checks that are not up: `name: detail`.
    pub fn details(&self) -> Vec<String> {
        let checks = self.checks.lock();
        let told = checks.iter().filter(|check| check.status != Status::Up);
        told.map(|check| format!("{}: {}", check.name, check.detail.as_deref().unwrap_or("down")))
            .collect()
    }

    /// Each check with its state as a number: 2 up, 1 degraded, 0 down.
    pub(crate) fn states(&self, tell: &mut dyn FnMut(&[&str], f64)) {
        for check in self.checks.lock().iter() {
            let state = match check.status {
                Status::Up => 2.0,
                Status::Degraded => 1.0,
                Status::Down => 0.0,
            };
            tell(&[&check.name], state);
        }
    }

    fn worst(&self) -> Status {
        self.checks.lock().iter().map(|check| check.status).max().unwrap_or(Status::Up)
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
    /// Keep the check in step with `state` until its sender is gone, as `judge` says: up, degraded
    /// with a remark, or down with the reason.
    pub async fn follow<T>(
        self,
        mut state: watch::Receiver<T>,
        judge: impl Fn(&T) -> Result<Option<String>, String>,
    ) {
        loop {
            match judge(&state.borrow_and_update()) {
                Ok(None) => self.up(),
                Ok(Some(remark)) => self.degraded(remark),
                Err(problem) => self.down(problem),
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

    /// The service works, but `detail` is something to be mended.
    pub fn degraded(&self, detail: impl Into<String>) {
        self.set(Status::Degraded, Some(detail.into()));
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

/// The process answers
#[utoipa::path(get, path = "/health/live", tag = "service", responses(
    (status = 200, description = "it does, whatever else is away", body = Report)))]
pub(crate) async fn live() -> Json<Report> {
    Json(Report { status: "live", checks: Vec::new() })
}

/// No check is down
#[utoipa::path(get, path = "/health/ready", tag = "service", responses(
    (status = 200, description = "ready, or degraded: it works, and a person should look",
        body = Report),
    (status = 503, description = "not ready: the checks say what is waited for", body = Report)))]
pub(crate) async fn ready(State(health): State<Health>) -> (StatusCode, Json<Report>) {
    let (code, status) = match health.worst() {
        Status::Up => (StatusCode::OK, "ready"),
        Status::Degraded => (StatusCode::OK, "degraded"),
        Status::Down => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
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

    #[tokio::test]
    async fn what_is_degraded_is_said_and_still_ready() {
        let health = Health::new();
        let (capture, database) = (health.check("capture"), health.check("database"));
        database.up();
        capture.degraded("silent for 50 s");
        let (code, Json(report)) = ready(State(health.clone())).await;
        assert_eq!((code, report.status), (StatusCode::OK, "degraded"));
        assert_eq!(report.checks[0].detail.as_deref(), Some("silent for 50 s"));
        database.down("away");
        let (code, Json(report)) = ready(State(health)).await;
        assert_eq!((code, report.status), (StatusCode::SERVICE_UNAVAILABLE, "not_ready"));
    }
}
