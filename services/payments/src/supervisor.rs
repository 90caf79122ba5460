//! [`Supervisor`]: sees to it that every payment comes to its end (scheduler-agent-supervisor).
//!
//! What is to be done stands in the database, so a crash loses nothing: a payment that is due is
//! claimed with a lease, the bank is called, and the result is written only if the claim still
//! holds. When an instance dies with a call in flight, the lease ends and another instance calls
//! again, with the same key. N instances share the work, as each skips what another has locked.

use crate::{
    bank::Bank,
    domain::{Input, Task},
    store::{
        self,
        changes::Changes,
        outbox,
        payments::{self, Row, Rows},
    },
};
use anyhow::Context;
use contracts::{OrderId, Timestamp};
use service_kit::{Backoff, Outage, Readiness, Shutdown};
use sqlx::{PgPool, Postgres, Transaction};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use streams::{Codec, failpoint};
use tokio::{sync::Notify, task::JoinSet, time::sleep};
use uuid::Uuid;

/// Most payments that end by their deadline in one transaction.
const EXPIRED_MAX: i64 = 200;

/// How much longer than the bank's timeout a claim holds: time to write the result.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

/// The bank counts as away after so many calls in a row without an answer.
const UNANSWERED_MAX: u32 = 3;

/// How soon to look again, when what is due is being worked on already.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How often old outbox rows are removed.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// What the supervisor goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest wait for an answer of the bank.
    pub bank_timeout: Duration,
    /// Most calls to the bank at a time.
    pub concurrency_max: usize,
    /// Longest time without looking for work that another instance has left.
    pub poll_interval: Duration,
    /// How long outbox rows are kept.
    pub outbox_retention: Duration,
}

/// What one call to the bank gave.
#[derive(Debug)]
struct Called {
    order_id: OrderId,
    token: Uuid,
    input: Input,
    /// When it was known. An answer that came in time counts, however long the database is away.
    at: Timestamp,
}

/// Works off what is due. See the module.
pub struct Supervisor {
    pool: PgPool,
    codec: Codec,
    bank: Bank,
    settings: Settings,
    work: Arc<Notify>,
    bank_check: Readiness,
    bank_outage: Outage,
    /// Calls in a row that the bank has not answered.
    unanswered: u32,
    calls: JoinSet<Called>,
    /// Results that are not written yet.
    results: Vec<Called>,
    pruned_at: Option<Instant>,
}

impl Supervisor {
    /// A supervisor over the tables of `pool`. `codec` must have been warmed up. `work` wakes it,
    /// and `bank_check` tells how the bank is.
    pub fn new(
        pool: PgPool,
        codec: Codec,
        bank: Bank,
        settings: Settings,
        work: Arc<Notify>,
        bank_check: Readiness,
    ) -> Self {
        // Nothing is known against the bank before the first call.
        bank_check.up();
        let bank_outage = Outage::new("the bank", bank.url());
        let (calls, results) = (JoinSet::new(), Vec::new());
        Self {
            pool,
            codec,
            bank,
            settings,
            work,
            bank_check,
            bank_outage,
            unanswered: 0,
            calls,
            results,
            pruned_at: None,
        }
    }

    /// Works until `shutdown`, and then as long as calls are under way. Whatever happens to the
    /// database is waited for; `database` and `outage` tell how it is.
    pub async fn run(mut self, database: Readiness, mut outage: Outage, shutdown: Shutdown) {
        let (mut backoff, work) = (Backoff::default(), Arc::clone(&self.work));
        while !shutdown.is_cancelled() {
            let wait = match self.step().await {
                Ok(wait) => {
                    outage.recovered();
                    database.up();
                    backoff.reset();
                    wait
                }
                Err(error) => {
                    database.down(outage.failed(format_args!("{error:#}")));
                    backoff.next()
                }
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

    /// Writes the results that are here, ends what has expired, starts what is due; how long there
    /// is nothing to do after that, unless a call ends or new work is announced.
    ///
    /// # Errors
    /// When the database is away; results are kept for the next step.
    pub async fn step(&mut self) -> anyhow::Result<Duration> {
        self.write_results().await.context("cannot write what the bank has answered")?;
        let now = now();
        let agenda = payments::agenda(&self.pool, now).await?;
        if agenda.deadline_in == Some(Duration::ZERO) {
            self.expire(now).await.context("cannot end what has expired")?;
        }
        let free = self.settings.concurrency_max.saturating_sub(self.calls.len());
        if free > 0 && agenda.due_in == Some(Duration::ZERO) {
            self.start_calls(free).await.context("cannot claim what is due")?;
        }
        self.prune().await.context("cannot prune the outbox")?;
        // With no call free, the next thing to happen is that one ends.
        let due_in = agenda.due_in.filter(|_| free > 0);
        let wait = due_in.into_iter().chain(agenda.deadline_in).min();
        let poll_interval = self.settings.poll_interval;
        Ok(wait.unwrap_or(poll_interval).clamp(LOOK_AGAIN.min(poll_interval), poll_interval))
    }

    /// Waits until a call has ended, for ever if there is none, and takes all that have.
    async fn called(&mut self) {
        let Some(mut called) = self.calls.join_next().await else {
            return std::future::pending().await;
        };
        loop {
            // A call that was lost to a panic is made again when its lease ends.
            if let Ok(called) = called {
                self.judge_bank(&called.input);
                self.results.push(called);
            }
            match self.calls.try_join_next() {
                Some(next) => called = next,
                None => return,
            }
        }
    }

    /// Lets the calls under way end, as their answers are worth more than those of a repetition.
    async fn finish(&mut self) {
        while !self.calls.is_empty() {
            self.called().await;
        }
        if let Err(error) = self.write_results().await {
            tracing::warn!("answers of the bank are left for the next start: {error:#}");
        }
    }

    /// Tells how the bank is: away after several calls in a row without an answer, as a single one
    /// may be lost on a good day.
    fn judge_bank(&mut self, input: &Input) {
        match input {
            Input::BankUnknown(why) => {
                self.unanswered += 1;
                if self.unanswered >= UNANSWERED_MAX {
                    self.bank_check.down(self.bank_outage.failed(why));
                }
            }
            Input::BankAnswered(_) | Input::VoidConfirmed | Input::RefundConfirmed => {
                self.unanswered = 0;
                self.bank_outage.recovered();
                self.bank_check.up();
            }
            Input::DeadlinePassed | Input::OrderValidated(_) | Input::RefundDue(_) => {}
        }
    }

    async fn write_results(&mut self) -> anyhow::Result<()> {
        if self.results.is_empty() {
            return Ok(());
        }
        match self.write(&self.results).await {
            Err(error) if is_refused(&error) => {
                // The database is there, but does not take one of them: it must not hold up the
                // others.
                for called in &self.results {
                    match self.write(std::slice::from_ref(called)).await {
                        Err(error) if is_refused(&error) => {
                            self.set_aside(called.order_id, format!("{error:#}"), false).await?;
                        }
                        result => result?,
                    }
                }
            }
            result => result?,
        }
        self.results.clear();
        Ok(())
    }

    /// What `order_id` has come to is refused by the database: leave it alone for a while.
    async fn set_aside(
        &self,
        order_id: OrderId,
        cause: String,
        expired: bool,
    ) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        let rows = payments::lock(&mut tx, &[order_id]).await?;
        let mut changes = Changes::new(&self.codec, rows);
        changes.set_aside(order_id, cause, expired);
        changes.write(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// One transaction for several results, of those claims that still hold.
    async fn write(&self, results: &[Called]) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        let claims: Vec<_> = results.iter().map(|called| (called.order_id, called.token)).collect();
        let rows = payments::lock_claimed(&mut tx, &claims).await?;
        let mut changes = Changes::new(&self.codec, rows);
        for Called { order_id, input, at, .. } in results {
            changes.settle(*order_id, input.clone(), *at)?;
        }
        changes.write(&mut tx).await?;
        tx.commit().await?;
        failpoint::reached("result-written");
        Ok(())
    }

    async fn expire(&self, now: Timestamp) -> anyhow::Result<()> {
        loop {
            let mut tx = self.pool.begin().await?;
            let rows = payments::lock_expired(&mut tx, now, EXPIRED_MAX).await?;
            let orders: Vec<OrderId> =
                rows.good.keys().chain(rows.unreadable.keys()).copied().collect();
            match self.end(tx, rows, &orders, now).await {
                Err(error) if is_refused(&error) => {
                    for order_id in &orders {
                        self.expire_one(*order_id, now).await?;
                    }
                }
                result => result?,
            }
            if (orders.len() as i64) < EXPIRED_MAX {
                return Ok(());
            }
        }
    }

    /// The same for one of them, as the database does not take them together.
    async fn expire_one(&self, order_id: OrderId, now: Timestamp) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        let rows = payments::lock(&mut tx, &[order_id]).await?;
        match self.end(tx, rows, &[order_id], now).await {
            Err(error) if is_refused(&error) => {
                self.set_aside(order_id, format!("{error:#}"), true).await
            }
            result => result,
        }
    }

    /// Ends the `rows` of these orders, and the transaction.
    async fn end(
        &self,
        mut tx: Transaction<'_, Postgres>,
        rows: Rows,
        orders: &[OrderId],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let mut changes = Changes::new(&self.codec, rows);
        for order_id in orders {
            changes.settle(*order_id, Input::DeadlinePassed, now)?;
        }
        changes.write(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    async fn start_calls(&mut self, free: usize) -> anyhow::Result<()> {
        let (token, lease) = (Uuid::now_v7(), self.settings.bank_timeout + LEASE_MARGIN);
        let Rows { good, unreadable } = payments::claim_due(&self.pool, free, token, lease).await?;
        for row in good.into_values() {
            let Some(task) = row.payment.task() else { continue };
            failpoint::reached("bank-claimed");
            let (bank, timeout) = (self.bank.clone(), self.settings.bank_timeout);
            self.calls.spawn(async move { call(&bank, task, &row, token, timeout).await });
        }
        for (order_id, cause) in unreadable {
            self.set_aside(order_id, cause, false).await?;
        }
        Ok(())
    }

    async fn prune(&mut self) -> anyhow::Result<()> {
        if self.pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_INTERVAL) {
            let pruned = outbox::prune(&self.pool, self.settings.outbox_retention).await?;
            self.pruned_at = Some(Instant::now());
            tracing::debug!("{pruned} old rows have left the outbox");
        }
        Ok(())
    }
}

/// Calls the bank; for a charge, not beyond its deadline.
async fn call(bank: &Bank, task: Task, row: &Row, token: Uuid, timeout: Duration) -> Called {
    let order = &row.payment.order;
    let timeout = match task {
        Task::Charge => timeout.min(order.deadline - now()),
        Task::Void | Task::Refund => timeout,
    };
    let input = if timeout.is_zero() {
        Input::DeadlinePassed
    } else {
        bank.perform(task, &row.payment, row.cause.traceparent.as_deref(), timeout).await
    };
    failpoint::reached("bank-answered");
    let (order_id, attempt) = (order.order_id, row.attempts);
    tracing::debug!(%order_id, ?task, attempt, ?input, "called the bank");
    Called { order_id, token, input, at: now() }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(store::is_refused)
}
