//! An outage of a dependency: how long to wait, and one log line when it goes and one when it is
//! back. No IO and no sleep: the caller waits, on its thread or in its task.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::{
    fmt::{self, Display},
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// Delays that double from a minimum up to a maximum. Each is random between half of that and all
/// of it, so that the instances which lost the same dependency do not come back to it in step.
#[derive(Debug)]
pub struct Backoff {
    max: Duration,
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
}

impl Backoff {
    /// Delays from `min` to `max`. A maximum below the minimum is raised to it.
    pub fn new(min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        // The jitter that `backon` adds is up to the delay itself.
        let builder = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(min)
            .with_max_delay(min.max(max / 2))
            .without_max_times();
        Self { max, delays: builder.build(), builder }
    }

    /// The delay before the next attempt.
    #[expect(clippy::should_implement_trait, reason = "the sequence is endless, not an Iterator")]
    pub fn next(&mut self) -> Duration {
        let delay = self.delays.next().expect("delays without a limit of times never end");
        delay.min(self.max)
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.delays = self.builder.build();
    }
}

impl Default for Backoff {
    /// From 50 ms to 2 s: quick for a restart, and no burden during an outage.
    fn default() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(2))
    }
}

/// Tells the log when something goes away (warn, once) and when it is back (info, once), and how
/// long to wait in between.
///
/// It is shown as what is being waited for, such as the detail of a health check.
#[derive(Debug)]
pub struct Outage {
    name: String,
    backoff: Backoff,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    /// The latest one.
    cause: String,
}

impl Outage {
    /// Watches `name`, such as `Kafka at 127.0.0.1:9092`. It must not hold a secret.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), backoff: Backoff::default(), open: None }
    }

    /// An attempt failed. Returns how long to wait before the next one.
    pub fn failed(&mut self, cause: impl Display) -> Duration {
        let cause = cause.to_string();
        match &mut self.open {
            Some(open) => open.cause = cause,
            None => {
                warn!("{} is not available, waiting: {cause}", self.name);
                self.open = Some(Open { since: Instant::now(), cause });
            }
        }
        self.backoff.next()
    }

    /// An attempt succeeded.
    pub fn recovered(&mut self) {
        if let Some(Open { since, .. }) = self.open.take() {
            info!("{} is available again after {:.1?}", self.name, since.elapsed());
            self.backoff.reset();
        }
    }

    /// Whether the last attempt failed.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

impl Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.open {
            Some(Open { cause, .. }) => write!(f, "waiting for {}: {cause}", self.name),
            None => write!(f, "{} is available", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_from_the_minimum_to_the_maximum_and_start_over() {
        let (min, max) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max);
        let delays: Vec<_> = (0..1_000).map(|_| backoff.next()).collect();
        assert!(delays[0] <= min * 2, "{:?}", delays[0]);
        assert!(delays.iter().all(|delay| (min..=max).contains(delay)));
        assert!(delays[10..].iter().all(|delay| *delay >= max / 2), "they stay long");
        assert_ne!(delays[998], delays[999], "they are random");
        backoff.reset();
        assert!(backoff.next() <= min * 2);
    }

    #[test]
    fn a_maximum_below_the_minimum_is_raised_to_it() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::ZERO);
        assert_eq!([backoff.next(), backoff.next()], [Duration::from_secs(1); 2]);
    }

    #[test]
    fn an_outage_is_open_from_the_first_failure_to_the_next_success() {
        let mut outage = Outage::new("Kafka at 127.0.0.1:9092");
        assert!(!outage.is_open());
        let first = outage.failed("connection refused");
        assert!(outage.is_open());
        assert_eq!(outage.to_string(), "waiting for Kafka at 127.0.0.1:9092: connection refused");
        for _ in 0..10 {
            assert!(outage.failed("no route to host") >= first / 2);
        }
        let later = outage.failed("no route to host");
        assert!(later > first, "{later:?} after {first:?}");
        assert_eq!(outage.to_string(), "waiting for Kafka at 127.0.0.1:9092: no route to host");
        outage.recovered();
        assert!(!outage.is_open());
        assert!(outage.failed("connection refused") < later, "it starts over");
    }
}
