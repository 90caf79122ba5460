//! [`Freshness`]: up to when the view has caught up with the log.

use crate::store::Store;
use contracts::{Timestamp, topics::PARTITIONS};
use service_kit::{Outage, Readiness, Shutdown};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often the other instances' progress is read, and the database tested.
const INTERVAL: Duration = Duration::from_secs(1);

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

    /// Export the gauge `view.staleness`.
    pub fn export(&self) {
        let freshness = self.clone();
        // The meter keeps the callback; the handle is of no further use.
        let _gauge = opentelemetry::global::meter("view")
            .u64_observable_gauge("view.staleness")
            .with_unit("ms")
            .with_description("How far the view is behind the log, by its slowest partition")
            .with_callback(move |gauge| {
                if let Some(ms) = freshness.staleness_ms() {
                    gauge.observe(ms, &[]);
                }
            })
            .build();
    }
}

/// Keep `freshness` and the database's `check` up to date until `shutdown`.
pub async fn watch(store: Store, freshness: Freshness, check: Readiness, shutdown: Shutdown) {
    let mut outage = Outage::new("Postgres", store.database().place());
    let look = async || {
        let progress = store.progress().await?;
        store.database().check_writable().await.map(|()| progress)
    };
    let watch = async {
        loop {
            match look().await {
                Ok(progress) => {
                    outage.recovered();
                    check.up();
                    freshness.observe(progress);
                }
                Err(error) => check.down(outage.failed(format_args!("{error:#}"))),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(watch).await;
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
