//! Waiting for something that is down: how long, and saying so exactly once.

use std::{
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

use crate::{health::Readiness, run::Shutdown};

/// Delays that grow exponentially up to a cap, with jitter, so that the instances which lost the
/// same dependency do not come back to it in step (decorrelated jitter: each delay is random
/// between the base and three times the one before).
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    last: Duration,
}

impl Backoff {
    /// Delays from `base` to `cap`. A cap below the base is raised to it.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap: cap.max(base), last: base }
    }

    /// The delay before the next attempt.
    #[expect(clippy::should_implement_trait, reason = "the sequence is endless, not an Iterator")]
    pub fn next(&mut self) -> Duration {
        let ceiling = self.last.saturating_mul(3).min(self.cap);
        let spread = ceiling.saturating_sub(self.base);
        self.last = self.base + spread.mul_f64(fastrand::f64());
        self.last
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.last = self.base;
    }
}

impl Default for Backoff {
    /// From 100 ms to 10 s: quick for a restart, patient with an outage.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10))
    }
}

/// Tells the log when a dependency goes away (warn, once) and when it is back (info, once).
#[derive(Debug)]
pub struct Outage {
    what: String,
    place: String,
    since: Option<Instant>,
}

impl Outage {
    /// Watches `what`, which should be at `place`; neither may hold a secret.
    pub fn new(what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.into(), since: None }
    }

    /// An attempt failed. Returns what is being waited for, to show in a readiness check.
    pub fn failed(&mut self, cause: impl Display) -> String {
        let waiting = format!("waiting for {} at {}: {cause}", self.what, self.place);
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("{waiting}");
        }
        waiting
    }

    /// An attempt succeeded.
    pub fn recovered(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!("{} is back after {:.1}s", self.what, since.elapsed().as_secs_f64());
        }
    }

    /// Whether the last attempt failed.
    pub fn is_open(&self) -> bool {
        self.since.is_some()
    }
}

/// Repeats `attempt` with backoff until it succeeds, keeping the log and the check up to date.
/// Returns `None` if the process was asked to stop first.
pub async fn until_available<T, E, F>(
    mut outage: Outage,
    check: &Readiness,
    shutdown: &Shutdown,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut backoff = Backoff::default();
    loop {
        match shutdown.run_until_cancelled(attempt()).await? {
            Ok(value) => {
                outage.recovered();
                check.up();
                return Some(value);
            }
            // The alternate form is anyhow's whole chain of causes.
            Err(error) => check.down(outage.failed(format_args!("{error:#}"))),
        }
        shutdown.run_until_cancelled(tokio::time::sleep(backoff.next())).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[test]
    fn delays_stay_between_base_and_cap_and_reach_the_cap() {
        let (base, cap) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(base, cap);
        let delays: Vec<_> = (0..1_000).map(|_| backoff.next()).collect();
        assert!(delays[0] <= base * 3, "{:?}", delays[0]);
        assert!(delays.iter().all(|delay| (base..=cap).contains(delay)));
        assert!(delays.iter().any(|delay| *delay > cap / 2));
        backoff.reset();
        assert!(backoff.next() <= base * 3);
    }

    #[test]
    fn an_outage_is_open_from_the_first_failure_to_the_next_success() {
        let mut outage = Outage::new("Kafka", "127.0.0.1:9092");
        assert!(!outage.is_open());
        let waiting = outage.failed("connection refused");
        assert_eq!(waiting, "waiting for Kafka at 127.0.0.1:9092: connection refused");
        assert!(outage.is_open());
        outage.recovered();
        assert!(!outage.is_open());
    }

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
