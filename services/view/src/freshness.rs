//! [`Freshness`]: how far the view is behind the log, partition by partition.
//!
//! There are two kinds of news: the view has applied a record with some timestamp, or it has read a
//! partition to its end. Only the second is proof, because a record of one topic says nothing about
//! the others, nor about later records. So once the view has read a partition to its end, the
//! partition is behind by the time since then. Before that, its last record counts.
//!
//! What is said here may be too much, and is never too little, but by the clocks of those who wrote
//! the records. Ages grow with the monotonic clock, so that a wrong clock of this or another
//! instance is wrong once, and its news grows old like any other.

use contracts::{Timestamp, partition};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How far a partition is shown, by both kinds of news: as times, or as ages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached<T> {
    /// The timestamp of the last record that is applied, of the topic that is furthest behind.
    pub applied: Option<T>,
    /// When every input had been read to its end, and all of it is applied.
    pub caught_up: Option<T>,
}

impl Reached<Timestamp> {
    /// How long ago that was. What is still to come has age 0.
    pub fn ages(self, now: Timestamp) -> Reached<Duration> {
        Reached {
            applied: self.applied.map(|at| now - at),
            caught_up: self.caught_up.map(|at| now - at),
        }
    }
}

/// Something had this age at that moment.
#[derive(Debug, Clone, Copy)]
struct Aging {
    age: Duration,
    at: Instant,
}

impl Aging {
    fn age(self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.at))
    }
}

/// What this instance knows of the progress of all, as they write into the same tables. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Freshness(Arc<Mutex<BTreeMap<i32, Reached<Aging>>>>);

impl Freshness {
    /// A partition has come this far now, by this instance's clock.
    pub fn reached(&self, partition: i32, reached: Reached<Timestamp>) {
        self.hear(partition, reached.ages(Timestamp::now()));
    }

    /// A partition had come so far, so long ago, by any instance's report.
    pub fn hear(&self, partition: i32, ages: Reached<Duration>) {
        self.note(partition, ages, Instant::now());
    }

    /// How far the view is behind the log, by its slowest partition; none before every partition
    /// has been heard of.
    pub fn staleness(&self) -> Option<Duration> {
        self.staleness_at(Instant::now())
    }

    /// The same in milliseconds.
    pub fn staleness_ms(&self) -> Option<u64> {
        u64::try_from(self.staleness()?.as_millis()).ok()
    }

    fn note(&self, partition: i32, ages: Reached<Duration>, now: Instant) {
        let mut known = self.0.lock();
        let nothing = Reached { applied: None, caught_up: None };
        let known = known.entry(partition).or_insert(nothing);
        let aging = |age| Aging { age, at: now };
        // What was read to its end by anyone stays read: the youngest news counts.
        let caught_up = known.caught_up.into_iter().chain(ages.caught_up.map(aging));
        known.caught_up = caught_up.min_by_key(|aging| aging.age(now));
        known.applied = ages.applied.map(aging).or(known.applied);
    }

    fn staleness_at(&self, now: Instant) -> Option<Duration> {
        let known = self.0.lock();
        let age = |partition| {
            let Reached { applied, caught_up } = known.get(&partition)?;
            caught_up.or(*applied).map(|aging| aging.age(now))
        };
        (0..partition::count()).map(age).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn applied(age: Duration) -> Reached<Duration> {
        Reached { applied: Some(age), caught_up: None }
    }

    fn caught_up(age: Duration) -> Reached<Duration> {
        Reached { applied: None, caught_up: Some(age) }
    }

    /// All partitions but the first were read to their end a moment ago.
    fn freshness(now: Instant) -> Freshness {
        let freshness = Freshness::default();
        for partition in 1..partition::count() {
            freshness.note(partition, caught_up(Duration::ZERO), now);
        }
        freshness
    }

    #[test]
    fn the_slowest_partition_decides_and_all_must_be_heard_of() {
        let now = Instant::now();
        let freshness = freshness(now);
        assert_eq!(freshness.staleness_at(now), None, "nothing is known of partition 0");
        freshness.note(0, caught_up(SECOND), now);
        assert_eq!(freshness.staleness_at(now), Some(SECOND));
        freshness.note(1, caught_up(MINUTE), now);
        assert_eq!(freshness.staleness_at(now), Some(SECOND), "an older time is no news");
        assert_eq!(freshness.staleness_at(now + MINUTE), Some(MINUTE + SECOND), "it grows old");
        for partition in 0..partition::count() {
            freshness.note(partition, caught_up(Duration::ZERO), now + MINUTE);
        }
        assert_eq!(freshness.staleness_at(now + MINUTE), Some(Duration::ZERO));
    }

    #[test]
    fn a_partition_that_was_never_read_to_its_end_counts_from_its_last_record() {
        let now = Instant::now();
        let freshness = freshness(now);
        freshness.note(0, applied(9 * MINUTE), now);
        freshness.note(0, applied(5 * MINUTE), now);
        assert_eq!(freshness.staleness_at(now), Some(5 * MINUTE));
        freshness.note(0, applied(6 * MINUTE), now);
        assert_eq!(freshness.staleness_at(now), Some(6 * MINUTE), "another topic is behind it");
        freshness.note(0, caught_up(Duration::ZERO), now);
        assert_eq!(freshness.staleness_at(now), Some(Duration::ZERO));
    }

    #[test]
    fn in_the_middle_of_a_catch_up_it_is_behind_by_the_time_since_it_was_at_the_end() {
        let start = Instant::now();
        let freshness = freshness(start);
        freshness.note(0, caught_up(Duration::ZERO), start);
        let now = start + 10 * MINUTE;
        for partition in 1..partition::count() {
            freshness.note(partition, caught_up(Duration::ZERO), now);
        }
        // Ten minutes of orders have not even been fetched; of stock, everything is applied.
        freshness.note(0, applied(SECOND), now);
        assert_eq!(freshness.staleness_at(now), Some(10 * MINUTE));
        freshness.note(0, caught_up(Duration::ZERO), now);
        assert_eq!(freshness.staleness_at(now), Some(Duration::ZERO));
    }

    #[test]
    fn right_after_a_rebalance_what_the_others_knew_counts() {
        let now = Instant::now();
        let freshness = freshness(now);
        // The instance that had the partition was at its end three minutes ago.
        freshness.note(0, caught_up(3 * MINUTE), now);
        freshness.note(0, applied(SECOND), now);
        assert_eq!(freshness.staleness_at(now), Some(3 * MINUTE));
        // Its last words arrive late, and are no news by then.
        freshness.note(0, caught_up(Duration::ZERO), now);
        freshness.note(0, caught_up(3 * MINUTE), now);
        assert_eq!(freshness.staleness_at(now + SECOND), Some(SECOND));
    }

    #[test]
    fn a_clock_that_was_ahead_is_wrong_once() {
        let start = Instant::now();
        let (wall, ahead) = (Timestamp(1_000_000), Timestamp(9_000_000));
        for future in [
            Reached { applied: None, caught_up: Some(ahead) },
            Reached { applied: Some(ahead), caught_up: None },
        ] {
            let freshness = freshness(start);
            freshness.note(0, future.ages(wall), start);
            assert_eq!(freshness.staleness_at(start), Some(Duration::ZERO));
            assert_eq!(freshness.staleness_at(start + MINUTE), Some(MINUTE));
        }
    }
}
