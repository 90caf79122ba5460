//! The transactional loops: a step is one record through the service's own processor, in the
//! runtime's own engine, and a restart is the engine's own restore.

use crate::{
    known::{Known, Memo},
    message::{Message, Sent, codec},
    story::{catalog, terms},
};
use contracts::Timestamp;
use inventory::{SplitProcessor, StockProcessor};
use orders::processor::OrdersProcessor;
use std::sync::{Arc, LazyLock};
use streams::{
    MemoryStore, Processor, Record, Store,
    engine::Offsets,
    store::{Entries, Positions, Writes},
};
use testkit::{Driver, Fed, Logs};

/// A loop of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Orders.
    Orders,
    /// Inventory takes orders apart.
    Split,
    /// Inventory keeps stock.
    Stock,
}

/// What a loop has in its store for one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Task {
    entries: Entries,
    positions: Positions,
}

/// What a loop acts upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The record at this offset of its topic.
    Record(Known<Message>, usize),
    /// Time has passed.
    Tick,
    /// It starts, over what its disk has.
    Start(Known<Topics>),
}

/// What a restore finds on a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topics {
    /// For each topic: its records, the number of those in sight, and the committed offset.
    pub topics: Vec<(&'static str, Vec<Known<Message>>, usize)>,
}

/// A step of a loop on a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Which loop.
    pub of: Loop,
    /// Which partition.
    pub partition: i32,
    /// What its store has.
    pub task: Known<Task>,
    /// What it acts upon.
    pub input: Input,
    /// When.
    pub now: Timestamp,
}

/// What has come of a step.
#[derive(Debug, Clone)]
pub struct Done {
    /// What the store has after it.
    pub task: Known<Task>,
    /// What was sent.
    pub sent: Arc<[Sent]>,
    /// Why the record went to the dead letters, if it did.
    pub dead_letter: Option<String>,
}

impl Step {
    /// What comes of it.
    pub fn take(self) -> Done {
        static MEMO: LazyLock<Memo<Step, Done>> = LazyLock::new(Memo::default);
        MEMO.get(self, |step| match step.of {
            Loop::Orders => step.run(OrdersProcessor::new(catalog(), terms())),
            Loop::Split => step.run(SplitProcessor),
            Loop::Stock => step.run(StockProcessor),
        })
    }

    fn run<P: Processor>(&self, processor: P) -> Done {
        let Self { partition, task, now, .. } = self;
        let store = MemoryStore::default();
        let writes = task.entries.iter().cloned().map(|(key, value)| (key, Some(value)));
        let filled = store.apply(*partition, Writes::from_iter(writes), &task.positions);
        filled.expect("memory does not fail");
        let mut driver = Driver::over(processor, store, codec().clone());
        driver.at(*now);
        let fed = match &self.input {
            Input::Record(message, offset) => {
                driver.feed_record(&message.record(*partition, *offset))
            }
            Input::Tick => Fed { sent: driver.tick(), dead_letter: None },
            Input::Start(topics) => {
                driver.restore_from(topics.logs(*partition));
                Fed::default()
            }
        };
        let entries = driver.store.range(*partition, &[0], &[255], usize::MAX);
        let positions = driver.store.positions(*partition);
        let task = Task {
            entries: entries.expect("memory does not fail"),
            positions: positions.expect("memory does not fail"),
        };
        let sent = fed.sent.into_iter().map(Sent::from).collect();
        Done { task: task.into(), sent, dead_letter: fed.dead_letter }
    }
}

impl Topics {
    fn logs(&self, partition: i32) -> Logs {
        let mut logs = Logs { records: [].into(), committed: Offsets::new() };
        for (topic, messages, committed) in &self.topics {
            let place = ((*topic).to_owned(), partition);
            let record = |(offset, message): (usize, &Known<Message>)| -> Record {
                message.record(partition, offset)
            };
            let records = messages.iter().enumerate().map(record).collect();
            logs.records.insert(place.clone(), records);
            logs.committed.insert(place, *committed as i64);
        }
        logs
    }
}
