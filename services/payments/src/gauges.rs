//! What payments tells of its outbox and of the slots that carry it: gauges, read at a scrape.

use crate::{
    adapters::{Postgres, Slot},
    database::Unreturned,
};
use contracts::metrics::{OUTBOX, OUTBOX_AGE, SLOT, SLOT_VALID};
use service_kit::{Readiness, Shutdown};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use streams::Meters;
use tokio::sync::Notify;

/// The outbox as the supervisor has seen it last, and when. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct OutboxGauge(Arc<Mutex<Option<(Unreturned, Instant)>>>);

impl OutboxGauge {
    /// What has not come back now.
    pub fn saw(&self, unreturned: Option<Unreturned>) {
        *lock(&self.0) = unreturned.map(|unreturned| (unreturned, Instant::now()));
    }

    /// Let `meters` read it.
    pub fn show(&self, meters: &Meters) {
        let seen = Arc::clone(&self.0);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let messages = move || lock(&seen).map_or(0.0, |(outbox, _)| outbox.messages as f64);
        meters.observe(&OUTBOX, move |tell| tell(&[], messages()));
        let seen = Arc::clone(&self.0);
        // It grows while the database is away as well.
        let age = move || lock(&seen).map(|(outbox, at)| outbox.age + at.elapsed());
        meters.observe(&OUTBOX_AGE, move |tell| {
            tell(&[], age().unwrap_or_default().as_secs_f64());
        });
    }
}

/// The slots of the database's server as they were at the last scrape. Clones share them.
#[derive(Clone, Default)]
pub struct SlotGauge(Arc<Slots>);

#[derive(Default)]
struct Slots {
    seen: Mutex<Vec<Slot>>,
    asked: Notify,
}

impl SlotGauge {
    /// Let `meters` read them. To read them is to ask for newer ones.
    pub fn show(&self, meters: &Meters) {
        let slots = Arc::clone(&self.0);
        meters.observe(&SLOT, move |tell| {
            slots.asked.notify_one();
            lock(&slots.seen).iter().for_each(|slot| tell(&[&slot.name], slot.retained_bytes));
        });
        let slots = Arc::clone(&self.0);
        meters.observe(&SLOT_VALID, move |tell| {
            let valid = |slot: &Slot| if slot.is_valid { 1.0 } else { 0.0 };
            lock(&slots.seen).iter().for_each(|slot| tell(&[&slot.name], valid(slot)));
        });
    }

    /// Look at the slots whenever they were asked for, until `shutdown`. While the database is
    /// away, nothing is known of them.
    ///
    /// # Errors
    /// None: the check `database` says that it is away.
    pub async fn watch(
        self,
        database: Postgres,
        check: Readiness,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        check.up();
        loop {
            let found = database.slots().await.unwrap_or_else(|error| {
                tracing::debug!("nothing is known of the slots: {error}");
                Vec::new()
            });
            *lock(&self.0.seen) = found;
            if shutdown.run_until_cancelled(self.0.asked.notified()).await.is_none() {
                return Ok(());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
