//! [`Freshness`]: up to when the view has caught up with the log.

use contracts::{Timestamp, topics::PARTITIONS};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What this instance knows of the progress of all, as they write into the same tables. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Freshness(Arc<Mutex<BTreeMap<i32, Timestamp>>>);

impl Freshness {
    /// These partitions have been applied up to these times. An older time than known is no news.
    pub fn observe(&self, progress: BTreeMap<i32, Timestamp>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, at) in progress {
            let caught_up_at = known.entry(partition).or_insert(at);
            *caught_up_at = at.max(*caught_up_at);
        }
    }

    /// How far the view is behind the log, by its slowest partition; none before every partition
    /// has been heard of.
    pub fn staleness(&self, now: Timestamp) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = (0..PARTITIONS).map(|partition| known.get(&partition)).min().flatten();
        slowest.map(|at| now - *at)
    }

    /// The same, now, in milliseconds.
    pub fn staleness_ms(&self) -> Option<u64> {
        let staleness = self.staleness(Timestamp::now())?;
        u64::try_from(staleness.as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_decides_and_time_never_runs_back() {
        let freshness = Freshness::default();
        let now = Timestamp(10_000);
        freshness.observe(BTreeMap::from([(0, Timestamp(9_900)), (1, Timestamp(4_000))]));
        assert_eq!(freshness.staleness(now), None, "nothing is known of partition 2");
        freshness.observe(BTreeMap::from([(2, now)]));
        assert_eq!(freshness.staleness(now), Some(Duration::from_secs(6)));
        freshness.observe(BTreeMap::from([(0, Timestamp(0)), (1, Timestamp(9_990))]));
        assert_eq!(freshness.staleness(now), Some(Duration::from_millis(100)));
    }
}
