//! What Kafka Connect says of a connector, and what it has said lately.

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use crate::TIMEOUT;

/// The state of a connector and of its tasks.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// The connector itself.
    pub connector: Worker,
    /// Its tasks, which do the work; none before they have been handed out.
    pub tasks: Vec<Worker>,
}

/// A connector or one of its tasks.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// `RUNNING`, `FAILED`, `PAUSED`, `STOPPED`, `UNASSIGNED`, `RESTARTING`.
    pub state: String,
    /// The stack trace of what it failed at, if it did.
    pub trace: Option<String>,
}

impl Worker {
    pub(crate) fn has_failed(&self) -> bool {
        self.state == "FAILED"
    }

    pub(crate) fn cause(&self) -> String {
        self.trace.as_deref().map_or_else(|| "no reason given".to_owned(), cause)
    }
}

impl Status {
    /// Whether all of it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.tasks.is_empty() && self.out_of_order().is_none()
    }

    /// Why the connector or a task has failed, if one has.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.out_of_order().filter(|worker| worker.has_failed()).map(Worker::cause)
    }

    /// The connector or the task that does not run; a failed one first.
    pub(crate) fn out_of_order(&self) -> Option<&Worker> {
        let mut all = std::iter::once(&self.connector).chain(&self.tasks);
        let failed = all.clone().find(|worker| worker.has_failed());
        failed.or_else(|| all.find(|worker| worker.state != "RUNNING"))
    }
}

/// The state of the connector `name` at the moment; none if Connect, which is at the base URL
/// `connect`, has no such connector.
///
/// # Errors
/// When Connect does not answer as it should.
pub async fn status(connect: &str, name: &str) -> Result<Option<Status>> {
    let url = format!("{connect}/connectors/{name}/status");
    // A Connect that is frozen takes the question and says nothing.
    let answer = reqwest::Client::new().get(url).timeout(TIMEOUT).send().await?;
    if answer.status().as_u16() == 404 {
        return Ok(None);
    }
    Ok(Some(answer.error_for_status()?.json().await?))
}

/// How often a connector or its tasks failed within [`Failures::WINDOW`], and why they did last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: usize,
    /// How long ago the last one was.
    pub(crate) last: Option<Duration>,
    pub(crate) cause: Option<String>,
}

impl Failures {
    /// How far back it looks.
    pub(crate) const WINDOW: Duration = Duration::from_secs(5 * 60);

    /// So many in the window are more than a bad moment.
    const AGAIN_AND_AGAIN: usize = 3;

    /// Twice the longest pause between two restarts: what has not failed for so long has recovered.
    const RECOVERED: Duration = Duration::from_secs(60);

    /// Whether restarts do not mend it, whatever it does at the moment.
    pub(crate) fn go_on(&self) -> bool {
        let recovered = self.last.is_none_or(|age| age >= Self::RECOVERED);
        self.count >= Self::AGAIN_AND_AGAIN && !recovered
    }
}

/// The innermost cause in a stack trace, on one line of a bearable length.
pub(crate) fn cause(trace: &str) -> String {
    const LENGTH_MAX: usize = 300;
    let innermost = trace.lines().rev().find_map(|line| line.strip_prefix("Caused by: "));
    let line = innermost.or_else(|| trace.lines().next()).unwrap_or("no reason given");
    // Debezium prints all of its position there.
    let line = match (line.find("PostgresOffsetContext ["), line.rfind(']')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}its position{}", &line[..start], &line[end + 1..])
        }
        _ => line.to_owned(),
    };
    streams::limits::clip(&line, LENGTH_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_task_is_told_with_its_innermost_cause() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "name": "x",
            "connector": {"state": "RUNNING", "worker_id": "w"},
            "tasks": [{
                "id": 0,
                "state": "FAILED",
                "trace": "Outer\n\tat a\nCaused by: Inner\n\tat b"
            }]
        }))
        .unwrap();
        assert!(!status.is_running());
        assert_eq!(status.failure().as_deref(), Some("Inner"));
    }

    #[test]
    fn a_connector_without_tasks_does_not_run_yet() {
        let worker = || Worker { state: "RUNNING".into(), trace: None };
        let status = Status { connector: worker(), tasks: Vec::new() };
        assert!(!status.is_running() && status.failure().is_none());
        assert!(Status { connector: worker(), tasks: vec![worker()] }.is_running());
    }

    #[test]
    fn a_connector_that_fails_often_is_failing_until_it_has_run_for_a_minute() {
        let failures =
            |count, age_s| Failures { count, last: Some(Duration::from_secs(age_s)), cause: None };
        assert!(failures(3, 30).go_on());
        assert!(!failures(2, 30).go_on() && !failures(9, 60).go_on());
        assert!(!Failures::default().go_on());
    }

    #[test]
    fn the_innermost_cause_says_most_and_is_short() {
        assert_eq!(cause("Outer\n\tat a\nCaused by: Inner\n\tat b"), "Inner");
        assert_eq!(cause("Only\n\tat a"), "Only");
        let long = "The connector is trying to read change stream starting at \
                    PostgresOffsetContext [a=[b], c=d], but this is no longer available";
        let short = "The connector is trying to read change stream starting at its position, but \
                     this is no longer available";
        assert_eq!(cause(long), short);
        assert!(cause(&"x".repeat(5_000)).len() <= 300);
    }
}
