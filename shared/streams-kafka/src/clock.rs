//! [`spawn_clock`]: keeps a process in step with the log's time ([`streams::clock`]). It sends a
//! small record, and the broker's stamp comes back with the acknowledgement.

use crate::{ThreadHandle, access::Heard, client::producer_config, pause, polled::Polled, spawn};
use anyhow::{Context, anyhow};
use rdkafka::{
    ClientContext, Message, Timestamp as Stamp,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, ProducerContext},
};
use std::{
    sync::mpsc::{self, Receiver, SyncSender},
    time::{Duration, Instant},
};
use streams::{
    Outage, Timestamp,
    clock::{self, Reading},
    limits::CALL_TIMEOUT,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use streams::topic::CLOCK;

/// How often a process asks. In between it counts with its monotonic clock, which is off by
/// fractions of a millisecond after that time.
const INTERVAL: Duration = Duration::from_secs(10);

/// The thread that keeps a process in step.
pub struct ClockHandle {
    readings: watch::Receiver<Reading>,
    thread: ThreadHandle,
}

impl ClockHandle {
    /// What is known of this host's clock, now and later.
    pub fn readings(&self) -> watch::Receiver<Reading> {
        self.readings.clone()
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// When the thread has panicked.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.thread.stopped().await
    }
}

/// Follow the log's time from now on, until `stop` is cancelled. Processors and fenced consumers of
/// this process wait until it is known. `process` names it to the broker.
pub fn spawn_clock(bootstrap: &str, process: &str, stop: CancellationToken) -> ClockHandle {
    clock::follow();
    let (sender, readings) = watch::channel(Reading::Unknown("starting".into()));
    let (bootstrap, process) = (bootstrap.to_owned(), process.to_owned());
    let thread = spawn("clock", move |_| {
        run(&bootstrap, &process, &sender, &stop);
        Ok(())
    });
    ClockHandle { readings, thread }
}

/// The log's time, for a tool that asks once; from then on [`Timestamp::now`] is that time. Blocks.
/// `process` names it to the broker.
///
/// # Errors
/// When Kafka is away, or has no topic [`CLOCK`].
pub fn ask_the_time(bootstrap: &str, process: &str) -> anyhow::Result<Timestamp> {
    Asker::new(bootstrap, process)?.ask(process)?;
    Ok(Timestamp::now())
}

fn run(
    bootstrap: &str,
    process: &str,
    readings: &watch::Sender<Reading>,
    stop: &CancellationToken,
) {
    let mut outage = Outage::new(format!("the log's time at {bootstrap}"));
    let mut asker = None;
    let mut warned = None;
    while !stop.is_cancelled() {
        let wait = match ask(&mut asker, bootstrap, process) {
            Ok(reading) => {
                outage.recovered();
                let warning = reading.warning();
                if let Some(warning) = warning.as_ref().filter(|_| warned.is_none()) {
                    tracing::warn!("{warning}");
                }
                warned = warning;
                readings.send_replace(reading);
                INTERVAL
            }
            Err(error) => {
                let cause = format!("{error:#}");
                readings.send_if_modified(|reading| {
                    let is_news = matches!(reading, Reading::Unknown(_));
                    if is_news {
                        *reading = Reading::Unknown(cause.clone());
                    }
                    is_news
                });
                outage.failed(&cause)
            }
        };
        pause(wait, stop);
    }
}

fn ask(asker: &mut Option<Asker>, bootstrap: &str, process: &str) -> anyhow::Result<Reading> {
    let known = match asker.take() {
        Some(known) => known,
        None => Asker::new(bootstrap, process)?,
    };
    let reading = known.ask(process)?;
    // One that failed is not used again: its record may still be on the way.
    *asker = Some(known);
    Ok(reading)
}

/// A log that can be asked for the time.
struct Asker {
    producer: Polled<Stamps>,
    stamps: Receiver<Result<Stamp, KafkaError>>,
    heard: Heard,
}

impl Asker {
    fn new(bootstrap: &str, process: &str) -> anyhow::Result<Self> {
        let (sender, stamps) = mpsc::sync_channel(1);
        let config = producer_config(bootstrap, &format!("{process}-clock"), None)?;
        let heard = Heard::default();
        let context = Stamps { sender, heard: heard.clone() };
        Ok(Self { producer: config.create_with_context(context)?, stamps, heard })
    }

    fn ask(&self, process: &str) -> anyhow::Result<Reading> {
        let sent = Instant::now();
        let record = BaseRecord::<str, [u8]>::to(CLOCK.name).key(process).partition(0);
        self.producer.send(record).map_err(|(error, _)| error)?;
        let stamp = self.stamps.recv_timeout(CALL_TIMEOUT).context("Kafka does not answer");
        let stamp = stamp.map_err(|error| self.heard.explain(error))?;
        let acknowledged = Instant::now();
        match stamp {
            Ok(Stamp::LogAppendTime(millis)) => {
                Ok(clock::measured(sent, acknowledged, Timestamp(millis)))
            }
            Ok(_) => Err(anyhow!(
                "`{}` lacks message.timestamp.type=LogAppendTime: `shop provision topics`",
                CLOCK.name
            )),
            Err(error) => Err(match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownPartition,
                ) => anyhow!("there is no topic `{}`: `shop provision topics`", CLOCK.name),
                _ => self.heard.explain(error),
            }),
        }
    }
}

/// Hands the stamps of acknowledgements on.
struct Stamps {
    sender: SyncSender<Result<Stamp, KafkaError>>,
    heard: Heard,
}

impl ClientContext for Stamps {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!("{error}: {reason}");
        self.heard.hear(&error, reason);
    }
}

impl ProducerContext for Stamps {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let stamp = match result {
            Ok(message) => Ok(message.timestamp()),
            Err((error, _)) => Err(error.clone()),
        };
        // One that comes too late has no reader.
        let _ = self.sender.try_send(stamp);
    }
}
