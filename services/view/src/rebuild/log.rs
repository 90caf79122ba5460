//! [`Log`]: what a rebuild reads.

use contracts::topics::TopicSpec;
use streams::Record;
use streams_kafka::LogReader;

/// A log that can be read from its beginning. The calls block.
pub trait Log: Send {
    /// How many partitions of `topic` there are to read.
    ///
    /// # Errors
    /// When it is away.
    fn partitions(&mut self, topic: &TopicSpec) -> anyhow::Result<i32>;

    /// The first offset that there still is.
    ///
    /// # Errors
    /// When it is away.
    fn start(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64>;

    /// The offset after all that is committed.
    ///
    /// # Errors
    /// When it is away.
    fn end(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64>;

    /// The committed records from `from` to before `to`, `max` at most, and where to go on.
    ///
    /// # Errors
    /// When it is away.
    fn read(
        &mut self,
        topic: &TopicSpec,
        partition: i32,
        from: i64,
        to: i64,
        max: usize,
    ) -> anyhow::Result<(Vec<Record>, i64)>;
}

/// The log on Kafka.
pub struct KafkaLog(LogReader);

impl KafkaLog {
    /// The log at `bootstrap`, wherever that may be at the moment.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(bootstrap: &str) -> anyhow::Result<Self> {
        LogReader::new(bootstrap, "view-rebuild").map(Self)
    }
}

impl Log for KafkaLog {
    fn partitions(&mut self, topic: &TopicSpec) -> anyhow::Result<i32> {
        self.0.partitions(topic)
    }

    fn start(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64> {
        self.0.start(topic.name, partition)
    }

    fn end(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64> {
        self.0.stable_end(topic.name, partition)
    }

    fn read(
        &mut self,
        topic: &TopicSpec,
        partition: i32,
        from: i64,
        to: i64,
        max: usize,
    ) -> anyhow::Result<(Vec<Record>, i64)> {
        self.0.read(topic.name, partition, from, to, max)
    }
}
