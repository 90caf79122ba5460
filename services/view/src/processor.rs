//! [`Projector`]: the loop's processor. Gathers a batch, writes it to Postgres in one transaction
//! that may be repeated, and then announces it in the Kafka transaction.

use crate::{
    batch::{Batch, OrderRecord},
    domain::history::{Impossible, Verdict},
    freshness::Freshness,
    handlers::{
        on_command_refused::on_command_refused, on_order::on_order,
        on_product_captured::on_product_captured, on_stock_level::on_stock_level,
    },
    topology,
};
use contracts::{
    Timestamp,
    owns::View,
    topics::{self, ORDER_REFUSALS, ORDER_VIEWS, ORDERS, PRODUCTS, STOCK, TopicSpec},
    view::ViewUpdated,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use streams::{Failure, Processor, Record, Tx, failpoint};

/// Most records in a batch; a smaller one means that its input is drained.
pub const BATCH_RECORDS_MAX: usize = 500;

/// How often an idle instance tells the others that it is up to date.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Where the lean views are kept: Postgres, or in the simulation a model of it.
pub trait Tables: Send {
    /// Write `batch` in one transaction, and tell what its transitions meant. A batch that was
    /// written before changes nothing.
    ///
    /// # Errors
    /// When nothing is written, or nobody knows: come again.
    fn apply(&mut self, batch: &Batch) -> anyhow::Result<Verdicts>;
}

/// What each transition of a batch meant, in the order of their arrival.
pub type Verdicts = Vec<Result<Verdict, Impossible>>;

/// Applies the input topics to the lean views.
pub struct Projector<T> {
    tables: T,
    freshness: Freshness,
    batch: Batch,
    /// The time of the last record of this batch, per partition and topic.
    read: BTreeMap<(i32, Arc<str>), Timestamp>,
    records: usize,
    ticked: BTreeSet<i32>,
    progress_written_at: Timestamp,
}

impl<T: Tables> Projector<T> {
    /// A projector into `tables`.
    pub fn new(tables: T, freshness: Freshness) -> Self {
        Self {
            tables,
            freshness,
            batch: Batch::default(),
            read: BTreeMap::new(),
            records: 0,
            ticked: BTreeSet::new(),
            progress_written_at: Timestamp::default(),
        }
    }

    /// Up to when each partition is applied once this batch is: where there were records, the time
    /// of the last one (of the topic that is furthest behind); where there were none, now.
    fn take_progress(&mut self, now: Timestamp) -> BTreeMap<i32, Timestamp> {
        let (records, ticked) = (self.records, std::mem::take(&mut self.ticked));
        self.records = 0;
        let mut progress = BTreeMap::new();
        for ((partition, _), at) in std::mem::take(&mut self.read) {
            let slowest = progress.entry(partition).or_insert(now);
            *slowest = at.min(*slowest);
        }
        if records < BATCH_RECORDS_MAX {
            for partition in ticked {
                progress.entry(partition).or_insert(now);
            }
        }
        progress
    }
}

impl<T: Tables> Processor for Projector<T> {
    type Identity = View;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::FLOWS)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::FLOWS)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, View>) -> Result<(), Failure> {
        self.records += 1;
        let place = (record.partition, Arc::clone(&record.topic));
        self.read.insert(place, Timestamp(record.timestamp_ms));
        let batch = &mut self.batch;
        match record {
            record if record.is_on(&ORDERS) => on_order(record, tx, batch),
            record if record.is_on(&ORDER_REFUSALS) => on_command_refused(record, tx, batch),
            record if record.is_on(&PRODUCTS) => on_product_captured(record, tx, batch),
            record if record.is_on(&STOCK) => on_stock_level(record, tx, batch),
            record => Err(Failure::Poison(format!("{} is not ours to read", record.topic))),
        }
    }

    fn tick(&mut self, tx: &mut Tx<'_, View>) -> Result<(), Failure> {
        self.ticked.insert(tx.partition());
        Ok(())
    }

    /// A crash after the write and before the commit of `tx` brings the batch again: its rows are
    /// then known, nothing changes, and it is announced.
    fn flush(&mut self, tx: &mut Tx<'_, View>) -> Result<(), Failure> {
        let now = tx.now();
        let idle = self.records == 0;
        let mut batch = std::mem::take(&mut self.batch);
        batch.progress = self.take_progress(now);
        if batch.progress.is_empty() {
            return Ok(());
        }
        if !idle || now - self.progress_written_at >= PROGRESS_INTERVAL {
            let verdicts = self.tables.apply(&batch).map_err(Failure::Retriable)?;
            if !idle {
                failpoint::reached("sql-committed");
            }
            self.progress_written_at = now;
            for (arrived, verdict) in batch.orders.into_iter().zip(verdicts) {
                announce(tx, arrived, verdict)?;
            }
        }
        self.freshness.observe(batch.progress);
        Ok(())
    }

    fn reset(&mut self) {
        self.batch = Batch::default();
        self.read.clear();
        self.ticked.clear();
        self.records = 0;
    }
}

/// Say that a transition can be seen now, or why it never will. Also one that was seen before is
/// announced: whether its announcement was committed, nobody here can know.
fn announce(
    tx: &mut Tx<'_, View>,
    arrived: OrderRecord,
    verdict: Result<Verdict, Impossible>,
) -> Result<(), Failure> {
    let OrderRecord { record, order, .. } = arrived;
    tx.begin(&record);
    let sent = match verdict {
        Err(cause) => Err(Failure::poison(cause)),
        Ok(Verdict::Next | Verdict::Repeated) => {
            let (order_id, view_version) = (order.order_id, order.version);
            let update = ViewUpdated { order_id, view_version, order, updated_at: tx.now() };
            tx.send(&ORDER_VIEWS, &order_id, &update)
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
