//! Watches the database and how far the view is behind, and reports both.

use super::Postgres;
use crate::freshness::{Freshness, Reached};
use contracts::metrics::STALENESS;
use service_kit::{Outage, Readiness, Shutdown};
use std::{collections::BTreeMap, time::Duration};
use streams::Meters;

/// How often the other instances' progress is read, and the database tested.
const INTERVAL: Duration = Duration::from_secs(1);

/// Export how far the view is behind the log; nothing before that is known.
pub fn export(freshness: &Freshness, meters: &Meters) {
    let freshness = freshness.clone();
    meters.observe(&STALENESS, move |tell| {
        if let Some(staleness) = freshness.staleness() {
            tell(&[], staleness.as_secs_f64());
        }
    });
}

/// Keep `freshness` and the database's `check` up to date until `shutdown`.
///
/// # Errors
/// None that waiting could cure: a database that is away is asked again.
pub async fn watch(
    tables: Postgres,
    freshness: Freshness,
    check: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut outage = Outage::new("Postgres", tables.database().place());
    let watch = async {
        loop {
            match look(&tables).await {
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
    Ok(())
}

/// How far the others are; an error also if the tables can be read and not written.
async fn look(tables: &Postgres) -> anyhow::Result<BTreeMap<i32, Reached<Duration>>> {
    let progress = tables.progress().await?;
    tables.database().check_writable().await?;
    Ok(progress)
}
