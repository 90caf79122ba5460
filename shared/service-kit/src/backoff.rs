//! Waiting in a task for something that is away, with its health check kept up to date.

use std::{fmt::Display, future::Future};

pub use streams::Backoff;

use crate::{health::Readiness, run::Shutdown};

/// [`streams::Outage`] in the words of a health check.
#[derive(Debug)]
pub struct Outage(streams::Outage);

impl Outage {
    /// Watches `what`, which should be at `place`; neither may hold a secret.
    pub fn new(what: impl Display, place: impl Display) -> Self {
        Self(streams::Outage::new(format!("{what} at {place}")))
    }

    /// An attempt failed. Returns what is being waited for, to show in a readiness check.
    pub fn failed(&mut self, cause: impl Display) -> String {
        self.0.failed(cause);
        self.0.to_string()
    }

    /// An attempt succeeded.
    pub fn recovered(&mut self) {
        self.0.recovered();
    }
}

/// Repeats `attempt` with backoff until it succeeds, keeping the log and the check up to date.
/// Returns `None` if the process was asked to stop first.
pub async fn until_available<T, E, F>(
    Outage(mut outage): Outage,
    check: &Readiness,
    shutdown: &Shutdown,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    loop {
        let delay = match shutdown.run_until_cancelled(attempt()).await? {
            Ok(value) => {
                outage.recovered();
                check.up();
                return Some(value);
            }
            // The alternate form is anyhow's whole chain of causes.
            Err(error) => outage.failed(format_args!("{error:#}")),
        };
        check.down(outage.to_string());
        shutdown.run_until_cancelled(tokio::time::sleep(delay)).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_repeated_until_it_succeeds() {
        let health = Health::new();
        let check = health.check("database");
        let shutdown = Shutdown::new();
        let mut attempts = 0;
        let outage = Outage::new("Postgres", "127.0.0.1:5433");
        let value = until_available(outage, &check, &shutdown, || {
            attempts += 1;
            let result = if attempts < 4 { Err("refused") } else { Ok(attempts) };
            async move { result }
        });
        assert_eq!(value.await, Some(4));
        assert!(health.is_ready());
    }

    #[tokio::test]
    async fn waiting_ends_when_the_process_is_asked_to_stop() {
        let (check, shutdown) = (Health::new().check("database"), Shutdown::new());
        shutdown.cancel();
        let outage = Outage::new("Postgres", "127.0.0.1:5433");
        let value =
            until_available(outage, &check, &shutdown, || async { Err::<(), _>("refused") });
        assert_eq!(value.await, None);
    }
}
