//! How the database is and how far the view is behind: looked at, and told.

use super::Postgres;
use crate::freshness::Freshness;
use service_kit::{Outage, Readiness, Shutdown};
use std::time::Duration;

/// How often the other instances' progress is read, and the database tested.
const INTERVAL: Duration = Duration::from_secs(1);

/// Export the gauge `view.staleness`.
pub fn export(freshness: &Freshness) {
    let freshness = freshness.clone();
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

/// Keep `freshness` and the database's `check` up to date until `shutdown`.
pub async fn watch(tables: Postgres, freshness: Freshness, check: Readiness, shutdown: Shutdown) {
    let mut outage = Outage::new("Postgres", tables.database().place());
    let look = async || {
        let progress = tables.progress().await?;
        tables.database().check_writable().await.map(|()| progress)
    };
    let watch = async {
        loop {
            match look().await {
                Ok(progress) => {
                    outage.recovered();
                    check.up();
                    for (partition, ages) in progress {
                        freshness.hear(partition, ages);
                    }
                }
                Err(error) => check.down(outage.failed(format_args!("{error:#}"))),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(watch).await;
}
