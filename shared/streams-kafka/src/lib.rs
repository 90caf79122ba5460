//! The stream runtime on a real Kafka: the only crate that knows rdkafka, and the adapters of
//! `streams` for a schema registry over HTTP and a store on disk.

mod access;
pub mod admin;
mod client;
mod clock;
mod disk;
pub mod dlq;
mod fenced;
mod group;
mod log;
mod meters;
mod partitions;
mod polled;
mod registry;
pub mod schemas;
mod sender;
mod table;
mod tail;
mod transactional;

pub use clock::{CLOCK, ClockHandle, ask_the_time, spawn_clock};
pub use disk::DiskStore;
pub use fenced::{FencedConsumer, spawn_fenced};
pub use log::{LogReader, log_starts, read_end, read_topic};
pub use registry::HttpRegistry;
pub use schemas::CheckedRegistry;
pub use sender::{SendError, Sender};
pub use table::spawn_table;
pub use tail::spawn_tail;
pub use transactional::{Step, TransactionalDriver, spawn_processor};

use std::{
    thread,
    time::{Duration, Instant},
};
use streams::{
    Meters, Outage, clock as log_time,
    limits::{BATCH_RECORDS_MAX, BATCH_WAIT},
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The surroundings of a consumer and its limits.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Where Kafka is, with the login there, as [`streams::Cluster`] writes it.
    pub bootstrap: String,
    /// The consumer group; also the stem of `transactional.id` and `group.instance.id`.
    pub name: &'static str,
    /// Which of several instances this one is: makes both ids stable, so that a restart fences its
    /// predecessor and takes its partitions over at once (KIP-345, KIP-447).
    pub instance: u32,
    /// Most records in one transaction.
    pub batch_records_max: usize,
    /// Longest wait for a second record after the first one, so that a trickle becomes a batch.
    pub batch_wait: Duration,
    /// Tell the processor when a partition was read to its end ([`streams::Processor::caught_up`]).
    pub report_ends: bool,
    /// An EndTxn that takes so long may have been sent twice, and its producer gets a new epoch.
    pub doubt_after: Duration,
    /// What takes the loop's measurements; none by default.
    pub meters: Meters,
}

impl ConsumerSettings {
    /// The usual limits: [`BATCH_RECORDS_MAX`], [`BATCH_WAIT`].
    pub fn new(bootstrap: &str, name: &'static str, instance: u32) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            name,
            instance,
            batch_records_max: BATCH_RECORDS_MAX,
            batch_wait: BATCH_WAIT,
            report_ends: false,
            doubt_after: client::DOUBT_AFTER,
            meters: Meters::default(),
        }
    }

    /// The same, with its measurements for `meters`.
    pub fn measured(self, meters: Meters) -> Self {
        Self { meters, ..self }
    }

    fn member(&self) -> String {
        format!("{}-{}", self.name, self.instance)
    }
}

/// The state of a thread that consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadStatus {
    /// Not at work yet: joining its group, or reading a table for the first time.
    Starting,
    /// Something it needs is away.
    Waiting(String),
    /// At work on these partitions; none while others have them all.
    Running {
        /// Partition numbers, the same for each input topic.
        partitions: Vec<i32>,
        /// What an operator should know all the same, such as records that were deleted unread.
        remarks: Vec<String>,
    },
    /// Ended.
    Stopped,
}

impl ThreadStatus {
    /// The health of the thread: at work, perhaps with a remark; or why it is not.
    ///
    /// # Errors
    /// Why it is not at work.
    pub fn health(&self) -> Result<Option<String>, String> {
        match self {
            Self::Starting => Err("starting".into()),
            Self::Waiting(cause) => Err(format!("waiting: {cause}")),
            Self::Running { remarks, .. } if remarks.is_empty() => Ok(None),
            Self::Running { remarks, .. } => Ok(Some(remarks.join("; "))),
            Self::Stopped => Err("stopped".into()),
        }
    }
}

/// A thread that consumes: a processor, or the follower of a topic. It ends when its token is
/// cancelled, or on an error that waiting cannot cure.
pub struct ThreadHandle {
    status: watch::Receiver<ThreadStatus>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
}

impl ThreadHandle {
    /// The state of the thread, now and later.
    pub fn status(&self) -> watch::Receiver<ThreadStatus> {
        self.status.clone()
    }

    /// Wait until it is at work for the first time; false if it ends before.
    pub async fn at_work(&self) -> bool {
        let at_work = |status: &ThreadStatus| matches!(status, ThreadStatus::Running { .. });
        self.status().wait_for(at_work).await.is_ok()
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// What ended it, if it was not the token: such as a schema that the registry refuses.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.ended.await.unwrap_or_else(|_| Err(anyhow::anyhow!("its thread has panicked")))
    }
}

/// Run `body` on a thread named `name`.
fn spawn(
    name: &str,
    body: impl FnOnce(watch::Sender<ThreadStatus>) -> anyhow::Result<()> + Send + 'static,
) -> ThreadHandle {
    let (status_sender, status) = watch::channel(ThreadStatus::Starting);
    let (end, ended) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let keeper = status_sender.clone();
        let result = body(status_sender);
        keeper.send_replace(ThreadStatus::Stopped);
        // The owner may have dropped the handle.
        let _ = end.send(result);
    });
    thread.expect("the operating system gives a thread");
    ThreadHandle { status, ended }
}

/// Report that the thread works on `partitions`, with these remarks, if that is news.
fn at_work(status: &watch::Sender<ThreadStatus>, partitions: Vec<i32>, remarks: Vec<String>) {
    let running = ThreadStatus::Running { partitions, remarks };
    status.send_if_modified(|status| {
        let is_news = *status != running;
        if is_news {
            *status = running;
        }
        is_news
    });
}

/// An [`Outage`] on a thread: it waits, and shows the outage in the status of the thread.
struct Pause {
    outage: Outage,
    status: watch::Sender<ThreadStatus>,
}

impl Pause {
    fn new(name: impl Into<String>, status: watch::Sender<ThreadStatus>) -> Self {
        Self { outage: Outage::new(name), status }
    }

    /// Something went wrong: wait, unless `stop` is cancelled.
    fn wait(&mut self, cause: &str, stop: &CancellationToken) {
        let wait = self.outage.failed(cause);
        self.status.send_replace(ThreadStatus::Waiting(cause.to_owned()));
        pause(wait, stop);
    }

    /// Wait until the log's time is known, where this process goes by it: until then nothing can be
    /// decided.
    fn until_the_time_is_known(&self, stop: &CancellationToken) {
        while log_time::is_awaited() && !stop.is_cancelled() {
            let cause = "the log's time is not known".to_owned();
            self.status.send_replace(ThreadStatus::Waiting(cause));
            client::pause_briefly();
        }
    }

    /// It works again; whether that is news.
    fn over(&mut self) -> bool {
        let was_open = self.outage.is_open();
        self.outage.recovered();
        was_open
    }
}

/// Let `duration` pass, unless `stop` is cancelled.
fn pause(duration: Duration, stop: &CancellationToken) {
    const SLICE: Duration = Duration::from_millis(50);
    let until = Instant::now() + duration;
    while !stop.is_cancelled() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(SLICE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::topic::{PartitionCount, TopicSpec, dead_letters};

    /// Longer than anything here takes on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn end(handle: ThreadHandle) -> anyhow::Result<()> {
        tokio::time::timeout(DEADLINE, handle.stopped()).await.expect("it ends")
    }

    #[tokio::test]
    async fn a_thread_that_panics_ends_with_an_error() {
        let handle = spawn("clumsy", |_| panic!("as asked"));
        assert!(!handle.at_work().await);
        assert!(end(handle).await.unwrap_err().to_string().contains("panicked"));
    }

    #[tokio::test]
    async fn without_kafka_a_tail_says_that_it_waits_and_ends_when_asked_to() {
        static TOPIC: TopicSpec = dead_letters("sums.dlq", "sums", PartitionCount::Fixed(1));
        let stop = CancellationToken::new();
        // No process listens on port 1.
        let tail = spawn_tail("127.0.0.1:1", "tail", vec![&TOPIC], stop.clone(), |_| Ok(()));
        let mut status = tail.status();
        let waits = |status: &ThreadStatus| matches!(status, ThreadStatus::Waiting(_));
        let waiting = tokio::time::timeout(DEADLINE, status.wait_for(waits)).await;
        assert!(waiting.expect("it waits").expect("it runs").health().is_err());
        stop.cancel();
        end(tail).await.unwrap();
    }
}
