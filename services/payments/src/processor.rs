//! [`PaymentsIntake`]: `orders` into the database. The offsets live there too, so one
//! SQL transaction has the changes and the offsets of a batch; payments does not use Kafka's own
//! offsets.
//!
//! Each partition has an epoch, which every new owner raises. A replaced instance finds a higher
//! epoch and can write nothing: neither offsets nor effects.

use crate::{
    changes::Changes,
    database::{DbError, PaymentsDb, PaymentsTx, Place, Position},
    inputs::{NotForUs, Reaction, reaction},
    topology,
};
use anyhow::anyhow;
use contracts::{OrderId, ServiceName, Timestamp, story, topics};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    slice,
    sync::Arc,
};
use streams::{
    Codec, Failure, Meters, Passed, Record, RegistryError, engine::Offsets, failpoint,
    lineage::Cause, meter::DEAD_LETTERS, tracer::Spans,
};

/// A record and what it asks for; poison has its cause.
#[derive(Debug, Clone)]
pub struct Decoded<'a> {
    record: &'a Record,
    asks: Result<Reaction, String>,
    /// Those of its batch.
    spans: Arc<Spans>,
}

/// What one instance of payments does about the records of `orders`.
pub struct PaymentsIntake {
    codec: Codec,
    /// Of the partitions that this instance has claimed.
    epochs: HashMap<Place, i64>,
    passed: Passed,
    meters: Meters,
}

impl PaymentsIntake {
    /// An intake that has no partition yet.
    pub fn new(codec: Codec) -> Self {
        Self { codec, epochs: HashMap::new(), passed: Passed::default(), meters: Meters::default() }
    }

    /// The same, with its dead letters measured.
    pub fn measured(self, meters: Meters) -> Self {
        Self { meters, ..self }
    }

    /// Nothing comes of these records from now on ([`Passed::extend`]).
    pub fn pass_by(&mut self, records: impl IntoIterator<Item = (String, String)>) {
        self.passed.extend(records);
    }

    /// Takes over the partitions; the next offset of each.
    ///
    /// # Errors
    /// [`Failure::Retriable`] when the database is away.
    pub async fn claim<D: PaymentsDb>(
        &mut self,
        database: &mut D,
        partitions: &[Place],
    ) -> Result<Offsets, Failure> {
        let positions = database.claim_partitions(partitions).await;
        let positions = positions.map_err(|error| match error {
            DbError::Refused(error) | DbError::Away(error) => {
                Failure::Retriable(error.context("cannot claim partitions"))
            }
        })?;
        let offset = |(place, position): (Place, Position)| {
            self.epochs.insert(place.clone(), position.epoch);
            (place, position.next_offset)
        };
        Ok(positions.into_iter().map(offset).collect())
    }

    /// What the records of `batch` ask for: poison is known before anything is locked. May ask the
    /// schema registry, and blocks then.
    ///
    /// # Errors
    /// [`Failure::Retriable`] when the registry is away, [`Failure::Fatal`] when it refuses one of
    /// our schemas.
    pub fn read<'a>(&self, batch: &'a [Record]) -> Result<Vec<Decoded<'a>>, Failure> {
        // No schema id is looked up within a transaction.
        self.codec.warm_up(&topics::outputs(topology::FLOWS)).map_err(|error| match error {
            RegistryError::Incompatible { .. } => Failure::fatal(error),
            other => Failure::retriable(other),
        })?;
        let read = |record: &'a Record| {
            if self.passed.has(record) {
                let _story = story::span(&Cause::of(record), Some(record)).entered();
                tracing::warn!(
                    record = record.address(),
                    "passed by, as an operator has asked for"
                );
                return Ok(Ok(Reaction::Nothing(NotForUs::PassedBy)));
            }
            match reaction(&self.codec, record) {
                Ok(reaction) => Ok(Ok(reaction)),
                Err(Failure::Poison(cause)) => Ok(Err(cause)),
                Err(failure) => Err(failure),
            }
        };
        let asked: Vec<_> = batch.iter().map(read).collect::<Result<_, _>>()?;
        let mut spans = Spans::of_batch(ServiceName::Payments.as_str(), batch);
        for (record, asks) in batch.iter().zip(&asked) {
            spans.process(record);
            if let Err(cause) = asks {
                spans.fail(record, cause);
            }
        }
        let spans = Arc::new(spans);
        let decoded = |(record, asks)| Decoded { record, asks, spans: Arc::clone(&spans) };
        Ok(batch.iter().zip(asked).map(decoded).collect())
    }

    /// Applies a batch at the time `now`: one transaction. Whether the bank is to be called now.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when another instance has taken a partition over, [`Failure::Retriable`]
    /// when the database or the registry is away.
    pub async fn apply<D: PaymentsDb>(
        &self,
        database: &mut D,
        batch: &[Decoded<'_>],
        now: Timestamp,
    ) -> Result<bool, Failure> {
        match self.write(database, batch, now).await {
            // The database is there, but does not take one of them: it must not hold up the others.
            Err(Failure::Poison(_)) => {
                let mut calls_for_work = false;
                for one in batch {
                    calls_for_work |= self.apply_one(database, one, now).await?;
                }
                Ok(calls_for_work)
            }
            result => result,
        }
    }

    /// The same for one record; a dead letter, if the database does not take what it says.
    async fn apply_one<D: PaymentsDb>(
        &self,
        database: &mut D,
        one: &Decoded<'_>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        match self.write(database, slice::from_ref(one), now).await {
            Err(Failure::Poison(cause)) => {
                let (record, spans) = (one.record, Arc::clone(&one.spans));
                let dead_letter = Decoded { record, asks: Err(cause), spans };
                self.write(database, &[dead_letter], now).await
            }
            result => result,
        }
    }

    /// One transaction; [`Failure::Poison`] if the database refuses it.
    async fn write<D: PaymentsDb>(
        &self,
        database: &mut D,
        batch: &[Decoded<'_>],
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let mut tx = database.begin().await.map_err(failure)?;
        let places: BTreeSet<Place> = batch.iter().map(|one| place(one.record)).collect();
        let places = Vec::from_iter(places);
        let positions = tx.lock_positions(&places).await.map_err(failure)?;
        if !places.iter().all(|place| self.owns(place, positions.get(place))) {
            return Err(fenced());
        }
        let rows = tx.lock_payments(&orders_of(batch)).await.map_err(failure)?;
        let mut changes = Changes::new(&self.codec, rows);
        let next = gather(&mut changes, batch, &positions, now)?;
        let calls_for_work = changes.calls_for_work();
        let gathered = changes.gathered();
        let letters = gathered.outbox.iter().filter(|row| !row.returns()).count();
        tx.write(gathered).await.map_err(failure)?;
        if tx.advance(&next).await.map_err(failure)? != next.len() {
            return Err(fenced());
        }
        failpoint::reached("sql-open");
        tx.commit().await.map_err(failure)?;
        failpoint::reached("sql-committed");
        if letters > 0 {
            let of = [ServiceName::Payments.as_str(), topics::ORDERS.name()];
            self.meters.count(&DEAD_LETTERS, &of, u64::try_from(letters).unwrap_or(u64::MAX));
        }
        Ok(calls_for_work)
    }

    fn owns(&self, place: &Place, position: Option<&Position>) -> bool {
        let epoch = position.map(|position| position.epoch);
        epoch.is_some() && epoch == self.epochs.get(place).copied()
    }
}

/// The orders whose payments must be locked.
fn orders_of(batch: &[Decoded<'_>]) -> Vec<OrderId> {
    let order_of = |one: &Decoded<'_>| match one.asks {
        Ok(Reaction::Decide(order_id, _)) => Some(order_id),
        Ok(Reaction::Returned(_) | Reaction::Nothing(_)) | Err(_) => None,
    };
    batch.iter().filter_map(order_of).collect()
}

/// Gathers what `batch` changes, with the partitions at `positions`; where they are after it. A
/// batch comes again if its commit went well, but the answer was lost: what is below its position
/// changes nothing.
fn gather(
    changes: &mut Changes<'_>,
    batch: &[Decoded<'_>],
    positions: &BTreeMap<Place, Position>,
    now: Timestamp,
) -> Result<BTreeMap<Place, Position>, Failure> {
    let mut next = positions.clone();
    for one in batch {
        let (record, place) = (one.record, place(one.record));
        if positions.get(&place).is_none_or(|known| record.offset < known.next_offset) {
            continue;
        }
        next.entry(place).and_modify(|known| known.next_offset = record.offset + 1);
        match react(changes, one, now) {
            Err(Failure::Poison(cause)) => changes.dead_letter(record, &cause, now),
            result => result?,
        }
    }
    Ok(next)
}

fn react(changes: &mut Changes<'_>, one: &Decoded<'_>, now: Timestamp) -> Result<(), Failure> {
    match &one.asks {
        Ok(Reaction::Decide(order_id, input)) => {
            let cause = Some(one.spans.cause(one.record));
            changes.decide(*order_id, Box::as_ref(input).clone(), cause, now).map(drop)
        }
        Ok(Reaction::Returned(row)) => {
            changes.returned(*row);
            Ok(())
        }
        Ok(Reaction::Nothing(why)) => {
            let _story = story::span(&Cause::of(one.record), Some(one.record)).entered();
            tracing::debug!(record = one.record.address(), ?why, "ignored");
            Ok(())
        }
        Err(cause) => Err(Failure::poison(cause)),
    }
}

fn place(record: &Record) -> Place {
    (record.topic.to_string(), record.partition)
}

fn failure(error: DbError) -> Failure {
    match error {
        DbError::Refused(_) => Failure::poison(error),
        DbError::Away(error) => {
            Failure::Retriable(error.context("the database has not taken the batch"))
        }
    }
}

fn fenced() -> Failure {
    Failure::Fatal(anyhow!("fenced: another instance has taken the partitions over"))
}
