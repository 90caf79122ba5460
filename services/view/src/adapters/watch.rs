//! Watches the database and how far the view is behind, and reports both.

use super::{Postgres, lean};
use crate::{
    freshness::{Freshness, Reached},
    views::ViewName,
};
use contracts::metrics::STALENESS;
use parking_lot::Mutex;
use service_kit::{Outage, Readiness, Shutdown};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use streams::Meters;

/// How often the other instances' progress is read, and the database tested.
const INTERVAL: Duration = Duration::from_secs(1);

/// The views that have tables, as they were seen last; all of them before. Clones share them.
#[derive(Debug, Clone)]
pub struct Served(Arc<Mutex<Vec<ViewName>>>);

impl Default for Served {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(ViewName::ALL.to_vec())))
    }
}

/// Export how far each view is behind the log: all by the same, as a batch is written into all of
/// them together. Nothing before that is known, and nothing of a view that is dropped.
pub fn export(freshness: &Freshness, served: &Served, meters: &Meters) {
    let (freshness, served) = (freshness.clone(), served.clone());
    meters.observe(&STALENESS, move |tell| {
        if let Some(staleness) = freshness.staleness() {
            let views = served.0.lock();
            views.iter().for_each(|view| tell(&[view.as_str()], staleness.as_secs_f64()));
        }
    });
}

/// Keep `freshness` and the database's `check` up to date until `shutdown`.
///
/// # Errors
/// None that waiting could cure: a database that is away is asked again.
pub async fn watch(
    tables: Postgres,
    (freshness, served): (Freshness, Served),
    check: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut outage = Outage::new("Postgres", tables.database().place());
    let watch = async {
        loop {
            match look(&tables).await {
                Ok((progress, views)) => {
                    outage.recovered();
                    check.up();
                    *served.0.lock() = views;
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

/// How far the others are, and which views there are; an error also if the tables can be read and
/// not written.
async fn look(
    tables: &Postgres,
) -> anyhow::Result<(BTreeMap<i32, Reached<Duration>>, Vec<ViewName>)> {
    let progress = tables.progress().await?;
    let views = lean::served_now(tables.database()).await?;
    tables.database().check_writable().await?;
    Ok((progress, views))
}
