//! [`Worker`]: runs the supervisor. It gives it the time, makes the calls, and wakes it when a call
//! has ended or the intake has new work.

use crate::{
    adapters::{Bank, Postgres},
    domain::Input,
    gauges::OutboxGauge,
    supervisor::{Call, Called, Supervisor},
};
use contracts::{Timestamp, story};
use service_kit::{Readiness, Shutdown};
use std::{fmt::Display, sync::Arc, time::Duration};
use streams::{Meters, Outage, failpoint};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::Instrument;

/// How often the database is asked whether it can be written, besides all that is written.
const WRITABLE_INTERVAL: Duration = Duration::from_secs(1);

/// A dependency, and how it is.
struct Watched {
    check: Readiness,
    outage: Outage,
}

impl Watched {
    fn is_there(&mut self) {
        self.outage.recovered();
        self.check.up();
    }

    /// How long to wait for it.
    fn is_away(&mut self, why: impl Display) -> Duration {
        let wait = self.outage.failed(why);
        self.check.down(self.outage.to_string());
        wait
    }
}

/// Runs a supervisor over Postgres and the bank.
pub struct Worker {
    supervisor: Supervisor,
    database: Postgres,
    bank: Bank,
    work: Arc<Notify>,
    bank_watched: Watched,
    /// Whether what was said comes back.
    relay: Readiness,
    outbox: OutboxGauge,
    calls: JoinSet<Called>,
    /// When the database was last found to be writable.
    writable_at: Option<Instant>,
}

impl Worker {
    /// Runs `supervisor`. `work` wakes it, `bank_check` shows how the bank is, and `relay` whether
    /// what payments says comes back on `orders`.
    pub fn new(
        supervisor: Supervisor,
        database: Postgres,
        bank: Bank,
        work: Arc<Notify>,
        bank_check: Readiness,
        relay: Readiness,
    ) -> Self {
        relay.up();
        let outage = Outage::new(format!("the bank at {}", bank.url()));
        let mut bank_watched = Watched { check: bank_check, outage };
        // Nothing is known against the bank before the first call.
        bank_watched.is_there();
        let (outbox, calls) = (OutboxGauge::default(), JoinSet::new());
        Self {
            supervisor,
            database,
            bank,
            work,
            bank_watched,
            relay,
            outbox,
            calls,
            writable_at: None,
        }
    }

    /// The same, with its calls and its outbox measured.
    pub fn measured(self, meters: &Meters) -> Self {
        self.outbox.show(meters);
        Self { bank: self.bank.measured(meters.clone()), ..self }
    }

    /// Works until `shutdown`, and then as long as calls are under way. An outage of the database
    /// is waited for; `check` shows it, and `outage` logs it.
    pub async fn run(mut self, check: Readiness, outage: Outage, shutdown: Shutdown) {
        let mut database = Watched { check, outage };
        let work = Arc::clone(&self.work);
        while !shutdown.is_cancelled() {
            let wait = match self.step_in_writable().await {
                Ok(idle) => {
                    database.is_there();
                    idle.min(WRITABLE_INTERVAL)
                }
                Err(error) => database.is_away(format_args!("{error:#}")),
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.called() => {}
                () = work.notified() => {}
                () = sleep(wait) => {}
            }
        }
        self.finish().await;
    }

    /// A step, if the database can be written: what the bank answers could not be kept otherwise.
    async fn step_in_writable(&mut self) -> anyhow::Result<Duration> {
        if self.writable_at.is_none_or(|at| at.elapsed() >= WRITABLE_INTERVAL) {
            // Also if it fails: then it is asked again at the next step.
            self.writable_at = None;
            self.database.check_writable().await?;
            self.writable_at = Some(Instant::now());
        }
        let idle = self.step().await;
        if idle.is_err() {
            self.writable_at = None;
        }
        idle
    }

    /// A step of the supervisor, and the calls that it asks for; how long there is nothing to do
    /// after that.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn step(&mut self) -> anyhow::Result<Duration> {
        let next = self.supervisor.step(&mut self.database, Timestamp::now()).await?;
        self.outbox.saw(self.supervisor.unreturned());
        match self.supervisor.relay_problem() {
            Some(problem) => self.relay.degraded(problem),
            None => self.relay.up(),
        }
        if self.supervisor.bank_problem().is_none() {
            self.bank_watched.is_there();
        }
        for call in next.calls {
            failpoint::reached("bank-claimed");
            // What a call comes to is said in lines of its order.
            let story = story::of_order(call.order_id(), call.traceparent.as_deref());
            self.calls.spawn(make(self.bank.clone(), call).instrument(story));
        }
        Ok(next.idle)
    }

    /// Waits until a call has ended, for ever if there is none, and takes all that have.
    async fn called(&mut self) {
        let Some(mut called) = self.calls.join_next().await else {
            return std::future::pending().await;
        };
        loop {
            match called {
                Ok(called) => self.supervisor.called(called),
                Err(error) => {
                    tracing::error!("a call to the bank has died: {error}");
                    self.supervisor.call_lost();
                }
            }
            match self.calls.try_join_next() {
                Some(next) => called = next,
                None => break,
            }
        }
        match self.supervisor.bank_problem() {
            // The calls have a back-off of their own.
            Some(problem) => drop(self.bank_watched.is_away(problem)),
            None => self.bank_watched.is_there(),
        }
    }

    /// Lets the calls under way end, as their answers are worth more than those of a repetition.
    async fn finish(&mut self) {
        while !self.calls.is_empty() {
            self.called().await;
        }
        if let Err(error) = self.supervisor.write_results(&mut self.database).await {
            tracing::warn!("answers of the bank are left for the next start: {error:#}");
        }
    }
}

/// Makes one call.
async fn make(bank: Bank, call: Call) -> Called {
    let input = match call.timeout(Timestamp::now()) {
        Some(timeout) => bank.perform(&call, timeout).await,
        None => Input::DeadlinePassed,
    };
    failpoint::reached("bank-answered");
    let (task, attempt) = (call.task, call.attempt);
    tracing::debug!(?task, attempt, ?input, "called the bank");
    call.over(input, Timestamp::now())
}
