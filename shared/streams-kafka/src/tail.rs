//! Following topics from now on, without a group: every instance sees every record.

use crate::{
    Pause,
    client::{ReaderContext, TopicNames, reader_config, to_record},
    group::topic_exists,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{collections::BTreeMap, time::Duration};
use streams::limits::CALL_TIMEOUT;
use streams::{Record, topic::TopicSpec};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Give `on_record` every record that arrives on `topics` from now on, until `stop` is cancelled.
/// After an outage of Kafka it goes on where it was. The answer arrives when its place in every
/// topic is known: what is written after that is heard.
pub fn spawn_tail(
    bootstrap: &str,
    name: &'static str,
    topics: Vec<&'static TopicSpec>,
    stop: CancellationToken,
    on_record: impl FnMut(Record) + Send + 'static,
) -> oneshot::Receiver<()> {
    let bootstrap = bootstrap.to_owned();
    let (placed, is_placed) = oneshot::channel();
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let mut outage = Pause::new(name, None);
        let mut tail = Tail { positions: BTreeMap::new(), placed: Some(placed), on_record };
        while !stop.is_cancelled() {
            if let Err(error) = tail.follow(&bootstrap, name, &topics, &stop, &mut outage) {
                outage.wait(&format!("{error:#}"), &stop);
            }
        }
    });
    spawned.expect("the operating system gives a thread");
    is_placed
}

struct Tail<F> {
    /// The next offset of each partition that has been seen.
    positions: BTreeMap<(String, i32), i64>,
    /// Told once that all of them are known.
    placed: Option<oneshot::Sender<()>>,
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
            reader_config(bootstrap, name).create_with_context(ReaderContext::default())?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..i32::try_from(topic_exists(&consumer, topic.name)?)? {
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
        if let Some(placed) = self.placed.take() {
            // An error means that nobody wants to know.
            let _ = placed.send(());
        }
        let mut names = TopicNames::default();
        while !stop.is_cancelled() {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = to_record(&message, &mut names);
                    let place = (record.topic.to_string(), record.partition);
                    self.positions.insert(place, record.offset + 1);
                    (self.on_record)(record);
                }
                Some(Err(error)) => debug!("{name}: {error}"),
                None => {}
            }
        }
        Ok(())
    }
}
