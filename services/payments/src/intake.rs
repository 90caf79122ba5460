//! [`Intake`]: `orders` into the database. The offsets live there too, so a batch of records, what
//! it changes and how far it was read are one SQL transaction; Kafka's own offsets are not used.
//!
//! Each partition has an epoch, which every new owner raises. An instance that was replaced and
//! does not know it finds its epoch overtaken and can write nothing: neither offsets nor effects.

use crate::{
    handlers::{Reaction, reaction},
    store::{
        self,
        changes::Changes,
        offsets::{self, Place, Position},
        payments,
    },
    topology,
};
use anyhow::{Context, anyhow};
use contracts::{
    OrderId, Timestamp,
    owns::Payments,
    topics::{self, TopicSpec},
};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, HashMap},
    slice,
    sync::Arc,
    time::SystemTime,
};
use streams::{Codec, Failure, Record, RegistryError, failpoint, lineage::Cause};
use streams_kafka::Ledger;
use tokio::{runtime::Handle, sync::Notify};

/// What has been made of a record before the database is asked: poison has its cause.
pub type Read = Result<Reaction, String>;

/// Reads `orders` for one instance of payments.
pub struct Intake {
    pool: PgPool,
    codec: Codec,
    /// Wakes the supervisor when there is work.
    work: Arc<Notify>,
    runtime: Handle,
    epochs: HashMap<Place, i64>,
}

impl Intake {
    /// An intake that has no partition yet. Its calls run on `runtime` and block the caller, which
    /// must be a thread outside of it.
    pub fn new(pool: PgPool, codec: Codec, work: Arc<Notify>, runtime: Handle) -> Self {
        Self { pool, codec, work, runtime, epochs: HashMap::new() }
    }

    /// Takes over the partitions; where each of them goes on.
    ///
    /// # Errors
    /// [`Failure::Retriable`] when the database is away.
    pub async fn take_over(
        &mut self,
        partitions: &[Place],
    ) -> Result<BTreeMap<Place, Position>, Failure> {
        let positions = offsets::claim(&self.pool, partitions).await;
        let positions = positions.context("cannot claim partitions").map_err(Failure::Retriable)?;
        let epochs = positions.iter().map(|(place, position)| (place.clone(), position.epoch));
        self.epochs.extend(epochs);
        Ok(positions)
    }

    /// Applies a batch at the time `now`. Blocks, as [`Ledger::apply`].
    ///
    /// # Errors
    /// [`Failure::Fatal`] when somebody else has taken a partition over, [`Failure::Retriable`]
    /// when the database or the registry is away.
    pub fn apply_at(&self, batch: &[Record], now: Timestamp) -> Result<(), Failure> {
        // What may ask the registry blocks, so it comes before anything asynchronous.
        self.warm_up()?;
        let read = read(&self.codec, batch)?;
        match self.runtime.block_on(self.write(batch, read.clone(), now)) {
            // The database is there, but does not take one of them: it must not hold up the others.
            Err(Failure::Poison(_)) => batch.iter().zip(read).try_for_each(|(record, read)| {
                self.runtime.block_on(self.write_one(record, read, now))
            }),
            result => result,
        }
    }

    /// The same for one record; a dead letter, if the database does not take what it says.
    async fn write_one(&self, record: &Record, read: Read, now: Timestamp) -> Result<(), Failure> {
        let batch = slice::from_ref(record);
        match self.write(batch, vec![read], now).await {
            Err(Failure::Poison(cause)) => self.write(batch, vec![Err(cause)], now).await,
            result => result,
        }
    }

    /// One transaction; [`Failure::Poison`] if the database refuses it.
    async fn write(
        &self,
        batch: &[Record],
        read: Vec<Read>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut tx = self.pool.begin().await.map_err(away)?;
        let positions = self.lock_positions(&mut tx, batch).await?;
        let rows = payments::lock(&mut tx, &orders_of(&read)).await.map_err(away)?;
        let mut changes = Changes::new(&self.codec, rows);
        let next = gather(&mut changes, batch, read, &positions, now)?;
        let calls_for_work = changes.calls_for_work();
        changes.write(&mut tx).await.map_err(away)?;
        if offsets::advance(&mut tx, &next).await.map_err(away)? != next.len() as u64 {
            return Err(fenced());
        }
        failpoint::reached("sql-open");
        tx.commit().await.map_err(away)?;
        failpoint::reached("sql-committed");
        if calls_for_work {
            self.work.notify_one();
        }
        Ok(())
    }

    /// The positions of the batch's partitions, which stay ours until the transaction ends.
    async fn lock_positions(
        &self,
        tx: &mut sqlx::PgConnection,
        batch: &[Record],
    ) -> Result<BTreeMap<Place, Position>, Failure> {
        let places: BTreeMap<Place, ()> = batch.iter().map(|record| (place(record), ())).collect();
        let places: Vec<Place> = places.into_keys().collect();
        let positions = offsets::lock(tx, &places).await.map_err(away)?;
        let ours = |place: &Place| {
            let epoch = positions.get(place).map(|position| position.epoch);
            epoch.is_some() && epoch == self.epochs.get(place).copied()
        };
        if places.iter().all(ours) { Ok(positions) } else { Err(fenced()) }
    }

    /// The schema ids of what we write, so that none is looked up within a transaction.
    fn warm_up(&self) -> Result<(), Failure> {
        self.codec.warm_up(&topics::outputs(&topology::FLOWS)).map_err(|error| match error {
            RegistryError::Incompatible { .. } => Failure::fatal(error),
            RegistryError::Unknown(_) | RegistryError::Unavailable(_) => Failure::retriable(error),
        })
    }
}

impl Ledger for Intake {
    type Identity = Payments;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::FLOWS)
    }

    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<(String, i32, i64)>, Failure> {
        let runtime = self.runtime.clone();
        let positions = runtime.block_on(self.take_over(partitions))?;
        let offset = |((topic, partition), position): (Place, Position)| {
            (topic, partition, position.next_offset)
        };
        Ok(positions.into_iter().map(offset).collect())
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), Failure> {
        self.apply_at(batch, SystemTime::now().into())
    }
}

/// Decodes every record first: poison is known before anything is locked.
///
/// # Errors
/// [`Failure::Retriable`] when the registry is away.
pub fn read(codec: &Codec, batch: &[Record]) -> Result<Vec<Read>, Failure> {
    let read = |record| match reaction(codec, record) {
        Ok(reaction) => Ok(Ok(reaction)),
        Err(Failure::Poison(cause)) => Ok(Err(cause)),
        Err(failure) => Err(failure),
    };
    batch.iter().map(read).collect()
}

/// The orders whose payments must be locked.
pub fn orders_of(read: &[Read]) -> Vec<OrderId> {
    let order_of = |read: &Read| match read {
        Ok(Reaction::Decide(order_id, _)) => Some(*order_id),
        Ok(Reaction::Nothing(_)) | Err(_) => None,
    };
    read.iter().filter_map(order_of).collect()
}

/// Gathers what `batch` changes, of which `read` has been made, with the partitions at `positions`;
/// where they are after it. A batch comes again if its commit went well, but the answer was lost:
/// what is below its position changes nothing.
///
/// # Errors
/// As [`Codec::encode`].
pub fn gather(
    changes: &mut Changes<'_>,
    batch: &[Record],
    read: Vec<Read>,
    positions: &BTreeMap<Place, Position>,
    now: Timestamp,
) -> Result<BTreeMap<Place, Position>, Failure> {
    let mut next = positions.clone();
    for (record, read) in batch.iter().zip(read) {
        let place = place(record);
        if positions.get(&place).is_none_or(|known| record.offset < known.next_offset) {
            continue;
        }
        next.entry(place).and_modify(|known| known.next_offset = record.offset + 1);
        match react(changes, record, read, now) {
            Err(Failure::Poison(cause)) => changes.dead_letter(record, &cause, now),
            result => result?,
        }
    }
    Ok(next)
}

fn react(
    changes: &mut Changes<'_>,
    record: &Record,
    read: Read,
    now: Timestamp,
) -> Result<(), Failure> {
    match read.map_err(Failure::Poison)? {
        Reaction::Decide(order_id, input) => {
            changes.decide(order_id, *input, Some(Cause::of(record)), now)
        }
        Reaction::Nothing(why) => {
            tracing::trace!("{}: {why:?}", record.address());
            Ok(())
        }
    }
}

fn place(record: &Record) -> Place {
    (record.topic.to_string(), record.partition)
}

fn away(error: sqlx::Error) -> Failure {
    if store::is_refused(&error) {
        return Failure::poison(format!("the database refuses it: {error}"));
    }
    Failure::Retriable(anyhow::Error::new(error).context("the database has not taken the batch"))
}

fn fenced() -> Failure {
    Failure::Fatal(anyhow!("fenced: another instance has taken the partitions over"))
}
