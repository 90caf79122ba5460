//! The clock that everything is judged by: that of the log.
//!
//! One process stamps a deadline, another one judges it. If each went by the clock of its own host,
//! a host whose clock is a minute ahead would end orders that have a minute left. But all of them
//! write to one log, and its brokers stamp what they append. So a process asks the log for the time
//! ([`LogClock::measured`]) and counts on from there with its monotonic clock; the host's own
//! clock is only compared, and how far it is off is for people.
//!
//! Where a process does not follow the log ([`follow`]), as tests and tools, its host's clock
//! counts.

use crate::time::{self, Timestamp};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

/// From here on people are told: clocks that are kept by NTP differ by milliseconds.
pub const SKEW_TOLD_MS: i64 = 1_000;

/// What a process knows of the log's time: how much later it is than its own monotonic clock. It
/// may be later than that by the time that an answer of the log took, and is never earlier. So
/// nothing is judged to be late that is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogClock {
    offset_ms: Option<i64>,
}

impl LogClock {
    /// The log has stamped a record with `appended`, between these two readings of the monotonic
    /// clock, in milliseconds: when the record was sent, and when its acknowledgement was here.
    ///
    /// What was known counts as far as it agrees: so the quickest answer decides, and if the clock
    /// of the log is set, that is followed.
    pub fn measured(&mut self, sent_ms: i64, acknowledged_ms: i64, appended: Timestamp) {
        let least = appended.millis().saturating_sub(acknowledged_ms);
        // Stamps are cut to milliseconds.
        let most = appended.millis().saturating_sub(sent_ms).saturating_add(1).max(least);
        self.offset_ms = Some(self.offset_ms.map_or(least, |known| known.clamp(least, most)));
    }

    /// The log's time at this reading of the monotonic clock, once it was asked.
    pub fn at(&self, monotonic_ms: i64) -> Option<Timestamp> {
        self.offset_ms.map(|offset| Timestamp(offset.saturating_add(monotonic_ms)))
    }
}

/// What is known of the clock of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The log was never asked, and why not. Nothing is decided until then.
    Unknown(String),
    /// The host's clock is so many milliseconds ahead of the log's; behind it if negative.
    Known {
        /// The difference.
        skew_ms: i64,
    },
}

impl Reading {
    /// Why nothing can be decided, if that is so.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Unknown(cause) => Some(format!("the log's time is not known: {cause}")),
            Self::Known { .. } => None,
        }
    }

    /// What people should know, although it does no harm.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Known { skew_ms } if skew_ms.abs() >= SKEW_TOLD_MS => {
                let (seconds, tenths) = (skew_ms.abs() / 1000, skew_ms.abs() % 1000 / 100);
                let side = if *skew_ms > 0 { "ahead of" } else { "behind" };
                Some(format!(
                    "this host's clock is {seconds}.{tenths} s {side} Kafka's; Kafka's counts: set \
                     the host's clock, or see to its NTP"
                ))
            }
            Self::Known { .. } | Self::Unknown(_) => None,
        }
    }
}

static FOLLOWS: AtomicBool = AtomicBool::new(false);

/// From now on this process goes by the log's time, and decides nothing before it knows that.
pub fn follow() {
    FOLLOWS.store(true, Ordering::Release);
}

/// Whether this process must not decide yet.
pub fn is_awaited() -> bool {
    FOLLOWS.load(Ordering::Acquire) && time::offset_ms().is_none()
}

/// This process has asked the log, as [`LogClock::measured`] wants it.
pub fn measured(sent: Instant, acknowledged: Instant, appended: Timestamp) -> Reading {
    let (sent_ms, acknowledged_ms) = (time::monotonic_ms(sent), time::monotonic_ms(acknowledged));
    let mut clock = LogClock { offset_ms: time::offset_ms() };
    clock.measured(sent_ms, acknowledged_ms, appended);
    time::set_offset_ms(clock.offset_ms);
    let skew_ms = Timestamp::of_host().millis().saturating_sub(Timestamp::now().millis());
    Reading::Known { skew_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_answer_decides_and_it_is_never_ahead_of_the_log() {
        let mut clock = LogClock::default();
        assert_eq!(clock.at(5), None);
        // The log is 1,000,000 ahead of this monotonic clock. The answer took 80 ms.
        clock.measured(100, 180, Timestamp(1_000_110));
        assert_eq!(clock.at(200), Some(Timestamp(1_000_130)), "70 ms behind");
        clock.measured(300, 302, Timestamp(1_000_301));
        assert_eq!(clock.at(400), Some(Timestamp(1_000_399)));
        clock.measured(500, 900, Timestamp(1_000_510));
        assert_eq!(clock.at(1_000), Some(Timestamp(1_000_999)), "a slow answer is no news");
    }

    #[test]
    fn a_clock_of_the_log_that_is_set_anew_is_followed() {
        for set_to in [2_000_000, 500_000] {
            let mut clock = LogClock::default();
            clock.measured(0, 2, Timestamp(1_000_001));
            clock.measured(100, 102, Timestamp(set_to));
            let now = clock.at(102).unwrap();
            assert!(now <= Timestamp(set_to + 3) && now >= Timestamp(set_to), "{now:?}");
        }
    }

    #[test]
    fn a_skew_is_named_from_a_second_on() {
        let said = |skew_ms| Reading::Known { skew_ms }.warning();
        assert_eq!(said(999), None);
        assert!(said(90_040).unwrap().starts_with("this host's clock is 90.0 s ahead of Kafka's"));
        assert!(said(-1_250).unwrap().contains("1.2 s behind Kafka's"));
    }

    #[test]
    fn a_process_that_does_not_follow_the_log_does_not_wait_for_it() {
        assert!(!is_awaited());
        let hour_ms = 3_600_000;
        let an_hour_ago = Timestamp(Timestamp::of_host().millis() - hour_ms);
        let now = Instant::now();
        let Reading::Known { skew_ms } = measured(now, now, an_hour_ago) else { panic!() };
        assert!((hour_ms - 1_000..hour_ms + 1_000).contains(&skew_ms), "{skew_ms}");
        let log = Timestamp::now();
        assert!(log < Timestamp(an_hour_ago.millis() + 60_000), "now the log's time counts");
    }
}
