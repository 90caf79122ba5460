//! [`Timestamp`]: time as data. Only [`Timestamp::now`] reads a clock; the shell passes the time
//! in.

use serde::{Deserialize, Serialize};
use std::{
    ops::{Add, Sub},
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// By how much the clock of this host is wrong on purpose, in milliseconds (`CLOCK_SHIFT_MS`): for
/// tests. A build without debug assertions has none of this.
static SHIFT_MS: LazyLock<i64> = LazyLock::new(|| {
    let shift = || std::env::var("CLOCK_SHIFT_MS").ok()?.parse().ok();
    if cfg!(debug_assertions) { shift().unwrap_or(0) } else { 0 }
});

/// How much later the log's time is than the monotonic clock of this process, in milliseconds;
/// [`UNKNOWN`] before it was asked.
static OFFSET_MS: AtomicI64 = AtomicI64::new(UNKNOWN);
const UNKNOWN: i64 = i64::MIN;

/// Where the monotonic clock of this process begins.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// As [`crate::clock::LogClock`] has it for this process.
pub(crate) fn offset_ms() -> Option<i64> {
    Some(OFFSET_MS.load(Ordering::Acquire)).filter(|offset| *offset != UNKNOWN)
}

/// As [`crate::clock::LogClock`] has it for this process from now on.
pub(crate) fn set_offset_ms(offset: Option<i64>) {
    OFFSET_MS.store(offset.unwrap_or(UNKNOWN), Ordering::Release);
}

/// The monotonic clock of this process.
pub(crate) fn monotonic_ms(at: Instant) -> i64 {
    i64::try_from(at.saturating_duration_since(*ORIGIN).as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970-01-01 UTC: Avro's `timestamp-millis`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time on the clock of the log, or of this host where a process does not follow the log
    /// ([`crate::clock`]). For the edge of a process alone: decisions get the time passed in.
    pub fn now() -> Self {
        match offset_ms() {
            Some(offset) => Self(offset.saturating_add(monotonic_ms(Instant::now()))),
            None => Self::of_host(),
        }
    }

    /// The time on the clock of this host.
    pub(crate) fn of_host() -> Self {
        let Self(millis) = SystemTime::now().into();
        Self(millis.saturating_add(*SHIFT_MS))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// `2026-11-21T08:30:00.123Z` (RFC 3339). A time beyond the years -9999 to 9999 becomes the
    /// first or the last one in them.
    pub fn rfc3339(self) -> String {
        let bound = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        format!("{:.3}", jiff::Timestamp::from_millisecond(self.0).unwrap_or(bound))
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before 1970 counts as 1970.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// The time from `earlier` to `self`, zero if `self` is the earlier one.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
            (i64::MIN, "-009999-01-02T01:59:59.000Z"),
        ] {
            assert_eq!(Timestamp(millis).rfc3339(), text);
        }
    }
}
