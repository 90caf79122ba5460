//! [`ViewProcessor`]: gathers a batch, writes it to Postgres in one transaction
//! that may be repeated, and then announces it in the Kafka transaction.

use crate::{
    batch::{Arrived, Batch, News, Outcome, Progress},
    freshness::{Freshness, Reached},
    inputs,
    repository::{Repository, Unwritten},
    topology,
};
use contracts::{
    Timestamp,
    owns::View,
    topics::{self, ORDER_VIEWS, TopicSpec},
    view::ViewUpdated,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use streams::{Failure, Processor, Record, Tx, failpoint, limits::LATER};

/// Most records in a batch.
pub const BATCH_RECORDS_MAX: usize = 500;

/// How often an idle instance tells the others that it is up to date.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Applies the input topics to the lean views.
pub struct ViewProcessor<R> {
    repository: R,
    freshness: Freshness,
    arrived: Vec<Arrived>,
    /// The time of the last record of this batch, per partition and topic.
    read: BTreeMap<(i32, Arc<str>), Timestamp>,
    /// When partitions were read to their end, as far as the tables have not heard of it.
    caught_up: BTreeMap<i32, Timestamp>,
    progress_written_at: Timestamp,
}

impl<R: Repository> ViewProcessor<R> {
    /// A processor that writes into the tables of `repository`.
    pub fn new(repository: R, freshness: Freshness) -> Self {
        Self {
            repository,
            freshness,
            arrived: Vec::new(),
            read: BTreeMap::new(),
            caught_up: BTreeMap::new(),
            progress_written_at: Timestamp::default(),
        }
    }

    /// How far each partition is shown once this batch is.
    fn progress(&self) -> Progress {
        let mut progress = Progress::new();
        for ((partition, _), at) in &self.read {
            let reached = progress.entry(*partition).or_default();
            reached.applied = Some(reached.applied.map_or(*at, |slowest| slowest.min(*at)));
        }
        for (partition, at) in &self.caught_up {
            progress.entry(*partition).or_default().caught_up = Some(*at);
        }
        progress
    }

    /// Whether the others should hear again how far an idle instance has come.
    fn is_time_to_tell(&self, now: Timestamp) -> bool {
        let was_ahead = now < self.progress_written_at;
        was_ahead || now - self.progress_written_at >= PROGRESS_INTERVAL
    }

    /// Write `batch`, at once if the tables take it. What they refuse must not hold up the rest.
    fn write(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        match self.repository.apply(batch) {
            Err(Unwritten::Refused(cause)) if !batch.arrived.is_empty() => {
                tracing::warn!("{} records are refused together: {cause}", batch.arrived.len());
                let outcomes = self.write_apart(Batch { progress: &Progress::new(), ..batch })?;
                self.write(Batch { arrived: &[], ..batch })?;
                Ok(outcomes)
            }
            // Without a record there is no dead letter.
            written => written.map_err(Failure::retriable),
        }
    }

    /// Write what the tables take of `batch`: by halves, so that a refused record among many costs
    /// few transactions, and in order, so that what follows it is judged by what is shown.
    fn write_apart(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        match self.repository.apply(batch) {
            Err(Unwritten::Refused(cause)) if batch.arrived.len() == 1 => Ok(vec![Err(cause)]),
            Err(Unwritten::Refused(_)) => {
                let (first, second) = batch.arrived.split_at(batch.arrived.len() / 2);
                let first = self.write_apart(Batch { arrived: first, ..batch })?;
                let second = self.write_apart(Batch { arrived: second, ..batch })?;
                Ok([first, second].concat())
            }
            written => written.map_err(Failure::retriable),
        }
    }
}

impl<R: Repository> Processor for ViewProcessor<R> {
    type Identity = View;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(topology::FLOWS)
    }

    /// What is shown is shown at once. Its announcement may be late if no outcome is announced.
    fn linger(&self, record: &Record) -> Duration {
        match topics::is_awaited(topology::FLOWS, record) {
            true => Duration::ZERO,
            false => LATER,
        }
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, View>) -> Result<(), Failure> {
        let place = (record.partition, Arc::clone(&record.topic));
        self.read.insert(place, Timestamp(record.timestamp_ms));
        let news = inputs::read(record, tx)?;
        self.arrived.push(Arrived { record: record.clone(), news });
        Ok(())
    }

    /// A crash after the write and before the commit of `tx` brings the batch again: its rows are
    /// then known, nothing changes, and it is announced.
    fn flush(&mut self, tx: &mut Tx<'_, View>) -> Result<(), Failure> {
        let now = tx.now();
        let (idle, progress) = (self.read.is_empty(), self.progress());
        if progress.is_empty() || (idle && !self.is_time_to_tell(now)) {
            return Ok(());
        }
        let arrived = std::mem::take(&mut self.arrived);
        let batch = Batch { arrived: &arrived, progress: &progress, now };
        let outcomes = self.write(batch)?;
        if !idle {
            failpoint::reached("sql-committed");
        }
        self.progress_written_at = now;
        self.read.clear();
        self.caught_up.clear();
        for (partition, reached) in progress {
            self.freshness.reached(partition, reached);
        }
        for (arrived, outcome) in arrived.into_iter().zip(outcomes) {
            announce(tx, arrived, outcome)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.arrived.clear();
        self.read.clear();
    }

    fn caught_up(&mut self, partition: i32, at: Timestamp) {
        self.caught_up.insert(partition, at);
        self.freshness.reached(partition, Reached { applied: None, caught_up: Some(at) });
    }
}

/// Announce that the view shows a transition, or dead-letter a record that it never will. A
/// repeated transition too: the view cannot know whether Kafka committed its first announcement.
fn announce(tx: &mut Tx<'_, View>, arrived: Arrived, outcome: Outcome) -> Result<(), Failure> {
    let Arrived { record, news } = arrived;
    tx.begin(&record);
    let sent = match (outcome, news) {
        (Err(cause), _) => Err(Failure::Poison(cause)),
        (Ok(()), News::Transition { order, .. }) => {
            let (order_id, view_version) = (order.order_id, order.version);
            let update =
                ViewUpdated { order_id, view_version, order: *order, updated_at: tx.now() };
            tx.send(&ORDER_VIEWS, &order_id, &update)
        }
        (Ok(()), News::Unreadable(_, cause)) => Err(Failure::Poison(cause)),
        (Ok(()), News::Refused(_) | News::Product(..) | News::Customer(..) | News::Counted(_)) => {
            Ok(())
        }
    };
    match sent {
        Ok(()) => tx.keep(),
        Err(Failure::Poison(cause)) => {
            tracing::warn!(record = record.address(), "dead letter: {cause}");
            tx.dead_letter(&record, &cause);
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{Sku, inventory::StockLevel, topics::STOCK};
    use std::sync::Mutex;
    use streams::{Codec, Headers, MemoryRegistry, MemoryStore};

    /// Tables that refuse this sku, and count how often they are written.
    struct Refusing(&'static str, Arc<Mutex<usize>>);

    impl Repository for Refusing {
        fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten> {
            *self.1.lock().unwrap() += 1;
            if batch.stock().keys().any(|sku| sku.as_str() == self.0) {
                return Err(Unwritten::Refused(format!("no {}", self.0)));
            }
            Ok(batch.outcomes(Vec::new()))
        }
    }

    fn record(codec: &Codec, offset: usize) -> Record {
        let sku: Sku = format!("SKU-{offset}").parse().unwrap();
        let level = StockLevel {
            sku: sku.clone(),
            on_hand: 1,
            reserved: 0,
            available: 1,
            committed: 0,
            version: 1,
            updated_at: Timestamp(0),
        };
        Record {
            topic: STOCK.name().into(),
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            timestamp_ms: 0,
            key: Some(sku.as_str().into()),
            value: Some(codec.encode(&STOCK.spec, &level).unwrap()),
            headers: Headers::default(),
        }
    }

    #[test]
    fn one_refused_record_in_a_full_batch_costs_few_transactions() {
        let (codec, state) =
            (Codec::new(Arc::new(MemoryRegistry::default())), MemoryStore::default());
        let written = Arc::new(Mutex::new(0));
        let tables = Refusing("SKU-321", Arc::clone(&written));
        let mut processor = ViewProcessor::new(tables, Freshness::default());
        let mut tx = Tx::new(&state, &codec, Timestamp(0));
        for offset in 0..BATCH_RECORDS_MAX {
            let record = record(&codec, offset);
            tx.begin(&record);
            processor.process(&record, &mut tx).unwrap();
        }
        processor.flush(&mut tx).unwrap();
        let (sent, ..) = tx.into_parts();
        let [letter] = &sent[..] else { panic!("{} dead letters", sent.len()) };
        assert_eq!(letter.headers.get(streams::tx::dlq_names::CAUSE), Some("no SKU-321"));
        // All at once, and once more without the progress; two for each of nine halvings; the
        // progress alone.
        let written = *written.lock().unwrap();
        assert!(written <= 2 + 2 * 9 + 1, "{written} transactions");
    }
}
