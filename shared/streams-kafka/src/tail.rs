//! Following topics from now on, without a group: every instance sees every record.

use crate::{
    Pause, ThreadHandle, ThreadStatus, at_work,
    client::{ReaderContext, TopicNames, reader_config, to_record},
    partitions::{LOOK_INTERVAL, Partitions},
    spawn,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use streams::limits::CALL_TIMEOUT;
use streams::{Record, topic::TopicSpec};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Give `on_record` every record that arrives on `topics` from now on, until `stop` is cancelled.
/// After an outage of Kafka it goes on where it was. It is at work when its place in every topic is
/// known: what is written after that is heard.
pub fn spawn_tail(
    bootstrap: &str,
    name: &'static str,
    topics: Vec<&'static TopicSpec>,
    stop: CancellationToken,
    on_record: impl FnMut(Record) + Send + 'static,
) -> ThreadHandle {
    let bootstrap = bootstrap.to_owned();
    spawn(name, move |status| {
        let mut outage = Pause::new(name, status.clone());
        let mut tail = Tail { positions: BTreeMap::new(), status, on_record };
        while !stop.is_cancelled() {
            if let Err(error) = tail.follow(&bootstrap, name, &topics, &stop, &mut outage) {
                outage.wait(&format!("{error:#}"), &stop);
            }
        }
        Ok(())
    })
}

struct Tail<F> {
    /// The next offset of each partition that has been seen.
    positions: BTreeMap<(String, i32), i64>,
    status: watch::Sender<ThreadStatus>,
    on_record: F,
}

impl<F: FnMut(Record)> Tail<F> {
    fn follow(
        &mut self,
        bootstrap: &str,
        name: &str,
        topics: &[&'static TopicSpec],
        stop: &CancellationToken,
        outage: &mut Pause,
    ) -> anyhow::Result<()> {
        let consumer: BaseConsumer<ReaderContext> =
            reader_config(bootstrap, name)?.create_with_context(ReaderContext::default())?;
        let mut assignment = TopicPartitionList::new();
        let heard = consumer.context().heard().clone();
        let known = Partitions::ask(&consumer, topics.iter().copied())
            .map_err(|error| heard.explain_of(&consumer, error))?;
        let mut looked_at = Instant::now();
        for topic in topics {
            for partition in 0..known.of(topic.name) {
                let place = (topic.name.to_owned(), partition);
                let next = match self.positions.get(&place) {
                    Some(next) => *next,
                    None => consumer.fetch_watermarks(topic.name, partition, CALL_TIMEOUT)?.1,
                };
                self.positions.insert(place, next);
                assignment.add_partition_offset(topic.name, partition, Offset::Offset(next))?;
            }
        }
        consumer.assign(&assignment)?;
        outage.over();
        let partitions: BTreeSet<i32> =
            self.positions.keys().map(|(_, partition)| *partition).collect();
        at_work(&self.status, partitions.into_iter().collect(), Vec::new());
        let mut names = TopicNames::default();
        while !stop.is_cancelled() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = to_record(&message, &mut names);
                    let place = (record.topic.to_string(), record.partition);
                    self.positions.insert(place, record.offset + 1);
                    (self.on_record)(record);
                }
                Some(Err(error)) => {
                    debug!("{name}: {error}");
                    if let Some(why) = heard.take() {
                        anyhow::bail!("{why}");
                    }
                }
                None => {}
            }
            if looked_at.elapsed() >= LOOK_INTERVAL {
                looked_at = Instant::now();
                // While Kafka is away that is not known.
                let now = Partitions::ask(&consumer, topics.iter().copied());
                let is_same = now.map_or(true, |now| now == known);
                anyhow::ensure!(is_same, "the partitions of a topic have changed");
            }
        }
        Ok(())
    }
}
