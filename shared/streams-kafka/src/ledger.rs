//! [`Ledger`]: a consumer whose offsets live in its own database, in the same SQL transaction as
//! what it does. Kafka's group only says who reads which partition.

use crate::{
    LoopHandle, LoopSettings, LoopStatus, Pause, at_work, group::GroupReader, spawn,
    transactional::Step,
};
use std::collections::BTreeSet;
use streams::{
    Codec, Failure, Record, RegistryError, Service,
    engine::{Offsets, first_offsets},
    failpoint,
    topic::TopicSpec,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A service's reaction to its input topics, with a database instead of a Kafka transaction.
pub trait Ledger: Send {
    /// Who we are.
    type Identity: Service;

    /// The topics to read, co-partitioned.
    fn inputs(&self) -> Vec<&'static TopicSpec>;

    /// The topics to write through the outbox, whose schemas must be registered first.
    fn outputs(&self) -> Vec<&'static TopicSpec>;

    /// These (topic, partition) are ours now: raise their epoch, so that whoever had them before
    /// can write no more. Gives the next offset of each, 0 where there is none yet.
    ///
    /// # Errors
    /// [`Failure::Retriable`] while the database is away.
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<(String, i32, i64)>, Failure>;

    /// One SQL transaction: what the records of `batch` cause, and their offsets, guarded by the
    /// epoch. Poison is dead-lettered inside of it.
    ///
    /// # Errors
    /// [`Failure::Retriable`] while the database is away, [`Failure::Fatal`] when fenced.
    fn apply(&mut self, batch: &[Record]) -> Result<(), Failure>;
}

/// Run `ledger` on a thread of its own until `stop` is cancelled.
pub fn spawn_ledger<L: Ledger + 'static>(
    settings: LoopSettings,
    ledger: L,
    codec: Codec,
    stop: CancellationToken,
) -> LoopHandle {
    spawn(settings.name, move |status| {
        let reader = None;
        let unclaimed = BTreeSet::new();
        LedgerLoop { settings, ledger, codec, reader, unclaimed, batch_failed: false }
            .run(&stop, &status)
    })
}

struct LedgerLoop<L> {
    settings: LoopSettings,
    ledger: L,
    codec: Codec,
    reader: Option<GroupReader>,
    /// Partition numbers that were assigned and whose offsets are not ours yet.
    unclaimed: BTreeSet<i32>,
    /// The last batch was not handled, and has not come again.
    batch_failed: bool,
}

impl<L: Ledger> LedgerLoop<L> {
    fn run(
        mut self,
        stop: &CancellationToken,
        status: &watch::Sender<LoopStatus>,
    ) -> anyhow::Result<()> {
        let mut outage = Pause::new(self.settings.name, status.clone());
        while !stop.is_cancelled() {
            match self.step() {
                // A failed batch may take some polls to come again: only its success ends the outage.
                Ok(Step::Idle) if self.batch_failed => {}
                Ok(_) => {
                    outage.over();
                    let partitions = self.reader.as_ref().map(GroupReader::partitions);
                    at_work(status, partitions.into_iter().flatten());
                }
                Err(Failure::Retriable(error)) => outage.wait(&format!("{error:#}"), stop),
                Err(Failure::Fatal(error))
                    if error.downcast_ref::<RegistryError>().is_some_and(|error| {
                        matches!(error, RegistryError::Incompatible { .. })
                    }) =>
                {
                    return Err(error);
                }
                Err(failure) => {
                    self.reader = None;
                    outage.wait(&failure.to_string(), stop);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Failure> {
        self.connect()?;
        let reader = self.reader.as_mut().expect("connect leaves a reader");
        let polled = reader.poll().map_err(Failure::Fatal)?;
        self.unclaimed.extend(polled.assigned);
        if !self.unclaimed.is_empty() {
            self.batch_failed = false;
        }
        self.unclaimed.retain(|partition| polled.owned.contains(partition));
        if !self.unclaimed.is_empty() {
            // What was read before the claim is read again after it.
            self.claim()?;
            return Ok(Step::Idle);
        }
        let reader = self.reader.as_mut().expect("connect leaves a reader");
        let batch = polled.records;
        if batch.is_empty() {
            return match polled.outage {
                Some(outage) => Err(Failure::Retriable(anyhow::anyhow!(outage))),
                None => Ok(Step::Idle),
            };
        }
        failpoint::reached("polled");
        let result = self.ledger.apply(&batch);
        if let Err(Failure::Retriable(_)) = &result {
            reader.seek(&first_offsets(&batch)).map_err(Failure::Fatal)?;
        }
        self.batch_failed = result.is_err();
        result.map(|()| Step::Processed(batch.len()))
    }

    fn connect(&mut self) -> Result<(), Failure> {
        if self.reader.is_some() {
            return Ok(());
        }
        self.codec.warm_up(&self.ledger.outputs()).map_err(|error| match error {
            RegistryError::Incompatible { .. } => Failure::fatal(error),
            RegistryError::Unknown(_) | RegistryError::Unavailable(_) => Failure::retriable(error),
        })?;
        self.unclaimed.clear();
        self.batch_failed = false;
        let reader = GroupReader::join(&self.settings, self.ledger.inputs());
        self.reader = Some(reader.map_err(Failure::Retriable)?);
        Ok(())
    }

    /// Make the offsets of fresh partitions ours, and go on from there.
    fn claim(&mut self) -> Result<(), Failure> {
        let reader = self.reader.as_mut().expect("connect leaves a reader");
        let places: Vec<_> =
            self.unclaimed.iter().flat_map(|partition| reader.owned(*partition)).collect();
        if places.is_empty() {
            return Ok(());
        }
        let claimed = self.ledger.claim(&places)?;
        let offsets: Offsets = claimed.into_iter().map(|(t, p, next)| ((t, p), next)).collect();
        failpoint::reached("claimed");
        reader.seek(&offsets).map_err(Failure::Fatal)?;
        self.unclaimed.clear();
        Ok(())
    }
}
