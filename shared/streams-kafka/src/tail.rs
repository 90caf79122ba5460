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
use streams::{Failure, Record, topic::TopicSpec};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Give `on_record` every record that arrives on `topics` from now on, until `stop` is cancelled.
/// After an outage of Kafka it goes on where it was. It is at work when its place in every topic is
/// known: what is written after that is heard. A record that `on_record` cannot take yet comes
/// again, with backoff, and its health says why; [`Failure::Poison`] is passed over.
pub fn spawn_tail(
    bootstrap: &str,
    name: &'static str,
    topics: Vec<&'static TopicSpec>,
    stop: CancellationToken,
    on_record: impl FnMut(&Record) -> Result<(), Failure> + Send + 'static,
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

impl<F: FnMut(&Record) -> Result<(), Failure>> Tail<F> {
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
        self.tell();
        let mut names = TopicNames::default();
        while !stop.is_cancelled() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = to_record(&message, &mut names);
                    self.take(&record, stop, outage);
                    let place = (record.topic.to_string(), record.partition);
                    self.positions.insert(place, record.offset + 1);
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
                let now = Partitions::look(&consumer, topics.iter().copied())?;
                let is_same = now.is_none_or(|now| now == known);
                anyhow::ensure!(is_same, "the partitions of a topic have changed");
            }
        }
        Ok(())
    }

    fn tell(&self) {
        let partitions: BTreeSet<i32> =
            self.positions.keys().map(|(_, partition)| *partition).collect();
        at_work(&self.status, partitions.into_iter().collect(), Vec::new());
    }

    fn take(&mut self, record: &Record, stop: &CancellationToken, outage: &mut Pause) {
        while !stop.is_cancelled()
            && let Err(Failure::Retriable(error) | Failure::Fatal(error)) = (self.on_record)(record)
        {
            outage.wait(&format!("{error:#}"), stop);
        }
        if !stop.is_cancelled() && outage.over() {
            self.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::Headers;

    #[test]
    fn a_record_that_cannot_be_taken_yet_comes_again_and_garbage_does_not() {
        let record = Record {
            topic: "news".into(),
            partition: 0,
            offset: 7,
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: Headers::default(),
        };
        let (status, seen) = watch::channel(ThreadStatus::Starting);
        let mut answers = vec![
            Err(Failure::Poison("garbage".into())),
            Ok(()),
            Err(Failure::Retriable(anyhow::anyhow!("the registry is away"))),
        ];
        let (mut told, status_then) = (0, seen.clone());
        let on_record = |_: &Record| {
            told += 1;
            if told == 2 {
                let waits = matches!(&*status_then.borrow(), ThreadStatus::Waiting(_));
                assert!(waits, "{:?}", status_then.borrow());
            }
            answers.pop().unwrap()
        };
        let mut outage = Pause::new("news", status.clone());
        let mut tail = Tail { positions: BTreeMap::new(), status, on_record };
        let stop = CancellationToken::new();
        tail.take(&record, &stop, &mut outage);
        assert!(matches!(&*seen.borrow(), ThreadStatus::Running { .. }), "{:?}", seen.borrow());
        tail.take(&record, &stop, &mut outage);
        assert_eq!(told, 3);
    }
}
