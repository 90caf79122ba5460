//! [`TransactionalLoop`]: read a batch, decide, and commit records, offsets and state together.

use crate::{
    LoopHandle, LoopSettings, LoopStatus, Outage, at_work,
    client::{
        CALL_TIMEOUT, Class, WriterContext, classify, pause_briefly, producer_config, to_message,
    },
    group::{GroupReader, to_list},
    log::LogReader,
    spawn,
};
use anyhow::Context;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{Producer, ThreadedProducer},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant, SystemTime},
};
use streams::{
    Codec, Failure, Outgoing, Processor, Record, RegistryError, Timestamp, failpoint,
    restore::restore,
    store::{Positions, Store},
    turn::{self, Offsets, first_offsets, next_offsets},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How often time acts on the partitions.
const TICK: Duration = Duration::from_millis(200);

/// What came of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// So many records were handled and committed.
    Processed(usize),
}

/// Why a step did not end well, by what must be done.
#[derive(Debug)]
enum StepError {
    /// The batch must come again; the clients are well.
    Again(anyhow::Error),
    /// The clients are lost.
    Rebuild(anyhow::Error),
    /// Waiting cannot cure it.
    Stop(anyhow::Error),
}

struct Clients {
    reader: GroupReader,
    producer: ThreadedProducer<WriterContext>,
    deliveries: WriterContext,
}

/// The loop of one [`Processor`]. One thread owns it, with its consumer and its producer.
pub struct TransactionalLoop<P> {
    settings: LoopSettings,
    processor: P,
    store: Box<dyn Store>,
    codec: Codec,
    clients: Option<Clients>,
    /// Partitions whose state is restored, with the positions that it stands for.
    tasks: BTreeMap<i32, Positions>,
    next_tick: Instant,
    /// The last batch was not handled, and has not come again.
    batch_failed: bool,
    status: watch::Sender<LoopStatus>,
}

/// Run `processor` on a thread of its own until `stop` is cancelled. Kafka, its topics and the
/// registry may come later, and go and come back.
pub fn spawn_loop<P: Processor + 'static>(
    settings: LoopSettings,
    processor: P,
    store: Box<dyn Store>,
    codec: Codec,
    stop: CancellationToken,
) -> LoopHandle {
    spawn(settings.name, move |status| {
        TransactionalLoop::new(settings, processor, store, codec, status).run(&stop)
    })
}

impl<P: Processor> TransactionalLoop<P> {
    /// A loop that has not begun; `status` is kept up to date.
    pub fn new(
        settings: LoopSettings,
        processor: P,
        store: Box<dyn Store>,
        codec: Codec,
        status: watch::Sender<LoopStatus>,
    ) -> Self {
        Self {
            settings,
            processor,
            store,
            codec,
            clients: None,
            tasks: BTreeMap::new(),
            next_tick: Instant::now(),
            batch_failed: false,
            status,
        }
    }

    fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut outage = Outage::new(self.settings.name, Some(self.status.clone()));
        while !stop.is_cancelled() {
            match self.try_step() {
                // A failed batch may take some polls to come again: only its success ends the outage.
                Ok(Step::Idle) if self.batch_failed => {}
                Ok(_) => {
                    outage.over();
                    at_work(&self.status, self.tasks.keys().copied());
                }
                Err(StepError::Again(error)) => outage.wait(&format!("{error:#}"), stop),
                Err(StepError::Rebuild(error)) => {
                    self.drop_clients();
                    outage.wait(&format!("{error:#}"), stop);
                }
                Err(StepError::Stop(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// One turn: poll, decide, commit. Tests drive the loop with it.
    ///
    /// # Errors
    /// What went wrong; the next step begins where it can.
    pub fn step(&mut self) -> anyhow::Result<Step> {
        self.try_step().map_err(|error| match error {
            StepError::Again(error) | StepError::Stop(error) => error,
            StepError::Rebuild(error) => {
                self.drop_clients();
                error
            }
        })
    }

    /// The next step joins the group anew, and restores what it is given.
    fn drop_clients(&mut self) {
        self.clients = None;
        self.tasks.clear();
    }

    fn try_step(&mut self) -> Result<Step, StepError> {
        self.connect()?;
        let clients = self.clients.as_mut().expect("connect leaves clients");
        clients.reader.poll().map_err(StepError::Rebuild)?;
        self.settle_tasks().map_err(StepError::Rebuild)?;
        let clients = self.clients.as_mut().expect("connect leaves clients");
        let batch = clients.reader.take();
        if batch.is_empty()
            && let Some(outage) = clients.reader.outage()
        {
            return Err(StepError::Again(anyhow::anyhow!(outage)));
        }
        let result = self.handle(&batch);
        if !batch.is_empty() {
            self.batch_failed = result.is_err();
        }
        if let Err(error) = &result {
            self.processor.reset();
            if let (StepError::Again(_), Some(clients)) = (error, &mut self.clients) {
                clients.reader.seek(&first_offsets(&batch)).map_err(StepError::Rebuild)?;
            }
        }
        result
    }

    /// Decide on `batch` and on what time brings, and commit.
    fn handle(&mut self, batch: &[Record]) -> Result<Step, StepError> {
        let tick = Instant::now() >= self.next_tick;
        if batch.is_empty() && !tick {
            return Ok(Step::Idle);
        }
        if !batch.is_empty() {
            failpoint::reached("polled");
        }
        let ticked: Vec<i32> = if tick { self.tasks.keys().copied().collect() } else { Vec::new() };
        let (processor, store) = (&mut self.processor, &*self.store);
        let decided = turn::decide(processor, store, &self.codec, now(), batch, &ticked);
        let decided = decided.map_err(failed)?;
        if tick {
            self.next_tick = Instant::now() + TICK;
        }
        if batch.is_empty() && decided.is_empty() {
            return Ok(Step::Idle);
        }
        let offsets = next_offsets(batch);
        failpoint::reached("decided");
        let delivered = self.commit(&decided.outgoing, &offsets)?;
        failpoint::reached("committed");
        let (processor, store, tasks) = (&self.processor, &*self.store, &mut self.tasks);
        turn::apply(processor, store, tasks, decided.writes, offsets, delivered)
            .map_err(StepError::Rebuild)?;
        failpoint::reached("applied");
        Ok(Step::Processed(batch.len()))
    }

    /// Join the group and fence our predecessor, if that has not been done.
    fn connect(&mut self) -> Result<(), StepError> {
        if self.clients.is_some() {
            return Ok(());
        }
        self.codec.warm_up(&self.processor.outputs()).map_err(|error| match error {
            RegistryError::Incompatible { .. } => StepError::Stop(error.into()),
            RegistryError::Unknown(_) | RegistryError::Unavailable(_) => {
                StepError::Again(error.into())
            }
        })?;
        let settings = &self.settings;
        let member = settings.member();
        let deliveries = WriterContext::default();
        let config = producer_config(&settings.bootstrap, &member, Some(&member));
        let producer: ThreadedProducer<WriterContext> = config
            .create_with_context(deliveries.clone())
            .map_err(|error| StepError::Stop(error.into()))?;
        // First the fence, then the group: once it stands, nothing of a former self can be open.
        retry(|| producer.init_transactions(CALL_TIMEOUT))
            .with_context(|| format!("Kafka at {}", settings.bootstrap))
            .map_err(StepError::Rebuild)?;
        let reader =
            GroupReader::join(settings, self.processor.inputs()).map_err(StepError::Rebuild)?;
        self.clients = Some(Clients { reader, producer, deliveries });
        self.tasks.clear();
        self.batch_failed = false;
        Ok(())
    }

    /// Restore what was assigned, forget what was revoked.
    fn settle_tasks(&mut self) -> anyhow::Result<()> {
        let clients = self.clients.as_mut().expect("connect leaves clients");
        let owned = clients.reader.partitions();
        if self.tasks.keys().any(|partition| !owned.contains(partition)) {
            // What failed may be somebody else's now.
            self.batch_failed = false;
        }
        self.tasks.retain(|partition, _| owned.contains(partition));
        let fresh: BTreeSet<i32> = clients.reader.take_fresh();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut log = match self.processor.sources().is_empty() {
            true => None,
            false => Some(LogReader::new(
                &self.settings.bootstrap,
                &format!("{}-restore", self.settings.member()),
            )?),
        };
        for partition in fresh {
            let positions = match &mut log {
                None => Positions::new(),
                Some(log) => {
                    let committed = clients.reader.committed(partition)?;
                    let (processor, store) = (&mut self.processor, &*self.store);
                    restore(processor, store, &self.codec, log, partition, &committed, now())?
                }
            };
            self.tasks.insert(partition, positions);
        }
        debug!(name = self.settings.name, partitions = ?self.tasks.keys(), "assigned");
        Ok(())
    }

    /// One Kafka transaction: `outgoing` and `offsets`. Gives the last offset per partition that
    /// was written.
    fn commit(
        &mut self,
        outgoing: &[Outgoing],
        offsets: &Offsets,
    ) -> Result<HashMap<(String, i32), i64>, StepError> {
        let clients = self.clients.as_ref().expect("connect leaves clients");
        if outgoing.is_empty() {
            // A transaction costs the broker some 2 ms whatever its size; offsets alone need none.
            if !offsets.is_empty() {
                clients.reader.commit(offsets).map_err(StepError::Rebuild)?;
            }
            return Ok(HashMap::new());
        }
        let producer = &clients.producer;
        let attempt = || -> Result<_, TransactionError> {
            producer.begin_transaction()?;
            clients.deliveries.begin();
            for message in outgoing {
                send(producer, &clients.deliveries, message)?;
            }
            let delivered = clients.deliveries.wait().map_err(TransactionError::Delivery)?;
            failpoint::reached("sent");
            // With the offsets Kafka checks that we are still a member (KIP-447). What time alone has
            // caused has none of its own: it goes with those that stand, or an instance that was
            // replaced while it slept could still end an order for a partition that it has lost.
            let list = if offsets.is_empty() {
                to_list(&clients.reader.standing()?)?
            } else {
                to_list(offsets)?
            };
            let group = clients.reader.group_metadata()?;
            retry(|| producer.send_offsets_to_transaction(&list, &group, CALL_TIMEOUT))?;
            failpoint::reached("offsets-sent");
            retry(|| producer.commit_transaction(CALL_TIMEOUT))?;
            Ok(delivered)
        };
        attempt().map_err(|error| abort(producer, error))
    }
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn failed(failure: Failure) -> StepError {
    match failure {
        Failure::Retriable(error) => StepError::Again(error),
        Failure::Poison(cause) => {
            StepError::Rebuild(anyhow::anyhow!("no record to blame: {cause}"))
        }
        Failure::Fatal(error) => StepError::Rebuild(error),
    }
}

#[derive(Debug, thiserror::Error)]
enum TransactionError {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("a record was not delivered: {0}")]
    Delivery(String),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Give the transaction up; what must be done next.
fn abort(producer: &ThreadedProducer<WriterContext>, error: TransactionError) -> StepError {
    let fatal = matches!(&error, TransactionError::Kafka(kafka) if classify(kafka) == Class::Fatal);
    if fatal || producer.client().fatal_error().is_some() {
        return StepError::Rebuild(error.into());
    }
    match retry(|| producer.abort_transaction(CALL_TIMEOUT)) {
        Ok(()) => StepError::Again(error.into()),
        Err(also) => StepError::Rebuild(anyhow::anyhow!("{error}; abort: {also}")),
    }
}

fn send(
    producer: &ThreadedProducer<WriterContext>,
    deliveries: &WriterContext,
    outgoing: &Outgoing,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    let mut message = to_message(outgoing);
    loop {
        deliveries.sent();
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if Instant::now() < deadline =>
            {
                deliveries.unsent();
                message = back;
                pause_briefly();
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Call again while librdkafka says that the same call may succeed, for [`CALL_TIMEOUT`] in all.
fn retry(mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    loop {
        match call() {
            Err(error) if classify(&error) == Class::Retriable && Instant::now() < deadline => {
                debug!("again: {error}");
                pause_briefly();
            }
            result => return result,
        }
    }
}
