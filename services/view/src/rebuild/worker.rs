//! [`Rebuilds`]: who rebuilds the views that are to be rebuilt, one after the other.

use super::{Ended, KafkaLog, Log, Rebuild, open};
use crate::{adapters::lean, views::ViewName};
use service_kit::{Backoff, Outage, Readiness, Shutdown, postgres::Database};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use streams::Codec;
use tokio::{runtime::Handle, sync::Notify, task::spawn_blocking};

/// How often it looks, when nothing tells it to: another instance may have been asked, or ended.
const INTERVAL: Duration = Duration::from_secs(1);

/// What rebuilds views. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Rebuilds(Arc<Notify>);

impl Rebuilds {
    /// There may be something to do.
    pub fn look(&self) {
        self.0.notify_one();
    }

    /// Rebuild what is to be rebuilt, from the log at `bootstrap`, until `shutdown`.
    ///
    /// # Errors
    /// None that waiting could cure: a rebuild that fails is tried again, and goes on.
    pub async fn run(
        self,
        database: Database,
        bootstrap: String,
        codec: Codec,
        check: Readiness,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        // What serves does not depend on it.
        check.up();
        let (mut outage, mut backoff) =
            (Outage::new("the rebuild of a view", &bootstrap), Backoff::default());
        while !shutdown.is_cancelled() {
            let mut pause = INTERVAL;
            // Before the first look at the database there is no table, or it is away.
            for view in lean::wanted(&database).await.unwrap_or_default() {
                let work = (database.clone(), bootstrap.clone(), codec.clone(), shutdown.clone());
                let done = spawn_blocking(move || {
                    let (database, bootstrap, codec, stop) = work;
                    let mut log = KafkaLog::new(&bootstrap)?;
                    rebuild(view, &mut log, &database, &codec, &Handle::current(), &stop)
                });
                if let Err(error) = done.await? {
                    let problem = format!("{error:#}");
                    let _ = outage.failed(format_args!("{view}: {problem}"));
                    // If the database is away, it cannot be read there either.
                    let _ = lean::hold_up(&database, view, &problem).await;
                    pause = backoff.next();
                    break;
                }
                outage.recovered();
                backoff.reset();
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.notified() => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }
}

/// Rebuild `view` from `log`, or go on with it. Blocks; IO of the database is on `runtime`.
///
/// # Errors
/// When log or database fail: then it goes on with the next call.
pub fn rebuild(
    view: ViewName,
    log: &mut dyn Log,
    database: &Database,
    codec: &Codec,
    runtime: &Handle,
    stop: &Shutdown,
) -> anyhow::Result<Ended> {
    let Some(shadow) = open(view, database, runtime)? else { return Ok(Ended::Elsewhere) };
    let begun = Instant::now();
    tracing::info!("the view {view} is rebuilt from the log");
    let ended = Rebuild { view, log, codec, runtime, stop, shadow, begun, read: (0, 0) }.run()?;
    if let Ended::Swapped { records } = ended {
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!("the view {view} is rebuilt: {records} records, {seconds:.1} s");
    }
    Ok(ended)
}
