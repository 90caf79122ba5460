//! [`Supervisor`]: brings every payment to its end (scheduler-agent-supervisor). It has no clock,
//! task or connection of its own: its caller gives it the time, the database and the bank's
//! answers, and makes the calls that it asks for.
//!
//! The work is in the database, so a crash loses none. The supervisor claims a due payment with a
//! lease, the worker calls the bank, and the supervisor writes the result only if the claim still
//! holds. When an instance dies during a call, its lease ends and another instance calls again,
//! with the same key. N instances share the work, because each skips the locked rows of the others.

use crate::{
    changes::Changes,
    database::{DbError, PaymentsDb, PaymentsTx, Row, Rows, Unreturned},
    domain::{Input, Payment, Task},
    outbox::PAUSE_MIN,
};
use anyhow::Context;
use contracts::{OrderId, Timestamp, story};
use std::{slice, time::Duration};
use streams::{Codec, failpoint};
use uuid::Uuid;

/// Most payments that end by their deadline in one transaction.
const EXPIRED_MAX: usize = 200;

/// How much longer than the bank's timeout a claim holds: time to write the result.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

/// The bank counts as away after so many calls in a row without an answer.
const UNANSWERED_MAX: u32 = 3;

/// How soon to look again, when what is due is being worked on already.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How often old outbox rows are removed.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How often it looks for messages that the relay has passed by.
const RESEND_INTERVAL: Duration = Duration::from_secs(2);

/// Most of them that are sent again at a time.
const RESEND_ROWS_MAX: u32 = 200;

/// Most rows that are removed at a time, so that their locks are held for moments only.
const PRUNE_ROWS_MAX: u32 = 10_000;

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

impl Settings {
    /// What holds unless the configuration says otherwise.
    pub const DEFAULT: Self = Self {
        bank_timeout: Duration::from_secs(2),
        concurrency_max: 32,
        poll_interval: Duration::from_millis(500),
        outbox_retention: Duration::from_secs(7 * 24 * 60 * 60),
    };
}

/// A call to the bank that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// What is asked of the bank.
    pub task: Task,
    /// The order; its id is the idempotency key.
    pub payment: Payment,
    /// The trace that the call belongs to (W3C Trace Context).
    pub traceparent: Option<String>,
    /// Which call for the same task this is, from 1.
    pub attempt: u32,
    token: Uuid,
    timeout: Duration,
}

impl Call {
    /// Whose payment it is about.
    pub fn order_id(&self) -> OrderId {
        self.payment.order.order_id
    }

    /// What the payment was claimed with.
    pub(crate) fn token(&self) -> Uuid {
        self.token
    }

    /// How long to wait for the answer from `now` on: for a charge, not beyond its deadline. `None`
    /// if it is too late to call: the result is [`Input::DeadlinePassed`] then.
    pub fn timeout(&self, now: Timestamp) -> Option<Duration> {
        let timeout = match self.task {
            Task::Charge => self.timeout.min(self.payment.order.deadline - now),
            Task::Void | Task::Refund => self.timeout,
        };
        Some(timeout).filter(|timeout| !timeout.is_zero())
    }

    /// The call is over: what it gave, and when that was known. An answer that came in time counts,
    /// however long the database is away.
    pub fn over(&self, input: Input, at: Timestamp) -> Called {
        Called { order_id: self.order_id(), token: self.token, input, at }
    }
}

/// What one call to the bank gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Called {
    order_id: OrderId,
    token: Uuid,
    input: Input,
    at: Timestamp,
}

/// What is to be done after a step.
#[derive(Debug)]
pub struct Next {
    /// Calls to make now, all at a time.
    pub calls: Vec<Call>,
    /// How long there is nothing to do after that, unless a call ends or new work is announced;
    /// zero if there may be more to do already.
    pub idle: Duration,
}

/// Works off what is due. See the module.
pub struct Supervisor {
    codec: Codec,
    settings: Settings,
    /// Tells this supervisor's claims from those of every other one.
    life: Uuid,
    claims: u64,
    calls_under_way: usize,
    /// Results that are not written yet.
    results: Vec<Called>,
    /// Calls in a row that the bank has not answered, and how the last one failed.
    unanswered: (u32, String),
    pruned_at: Option<Timestamp>,
    /// When it took its first step, and when it last looked for what the relay has passed by.
    began_at: Option<Timestamp>,
    looked_at: Option<Timestamp>,
    /// What has not come back, as it was seen last.
    unreturned: Option<Unreturned>,
}

impl Supervisor {
    /// A supervisor that has not done anything. `codec` must have been warmed up. `life` is an id
    /// that no other supervisor has had.
    pub fn new(codec: Codec, settings: Settings, life: Uuid) -> Self {
        let (unanswered, results) = ((0, String::new()), Vec::new());
        Self {
            codec,
            settings,
            life,
            claims: 0,
            calls_under_way: 0,
            results,
            unanswered,
            pruned_at: None,
            began_at: None,
            looked_at: None,
            unreturned: None,
        }
    }

    /// One step at the time `now`: writes the results that are here; or else ends what has expired;
    /// or else claims what is due, and says which calls to make. It may be dropped at any time:
    /// what was not done is done by a later step.
    ///
    /// # Errors
    /// When the database is away; results are kept for a later step.
    pub async fn step<D: PaymentsDb>(
        &mut self,
        database: &mut D,
        now: Timestamp,
    ) -> anyhow::Result<Next> {
        if !self.results.is_empty() {
            self.write_results(database).await?;
            return Ok(Next { calls: Vec::new(), idle: Duration::ZERO });
        }
        self.prune(database, now).await;
        let agenda = database.agenda(now).await.context("cannot see what is due")?;
        self.unreturned = agenda.unreturned;
        if self.calls_under_way == 0 && agenda.due_in.is_none() {
            // Another instance may have had its answers since, and there is nothing left to ask.
            self.unanswered.0 = 0;
        }
        self.resend(database, now).await;
        if agenda.deadline_in == Some(Duration::ZERO)
            && self.expire(database, now).await.context("cannot end what has expired")?
        {
            return Ok(Next { calls: Vec::new(), idle: Duration::ZERO });
        }
        // With no call free, the next thing to happen is that one ends.
        let free = self.settings.concurrency_max.saturating_sub(self.calls_under_way);
        let due_in = agenda.due_in.filter(|_| free > 0);
        let mut calls = Vec::new();
        if due_in == Some(Duration::ZERO) {
            calls = self.claim(database, free).await.context("cannot claim what is due")?;
        }
        let wait = due_in.into_iter().chain(agenda.deadline_in).min();
        let poll_interval = self.settings.poll_interval;
        let idle = wait.unwrap_or(poll_interval);
        Ok(Next { calls, idle: idle.clamp(LOOK_AGAIN.min(poll_interval), poll_interval) })
    }

    /// A call is over.
    pub fn called(&mut self, called: Called) {
        self.call_lost();
        match &called.input {
            Input::BankUnknown(why) => {
                let (silences, last) = &mut self.unanswered;
                *silences = silences.saturating_add(1);
                last.clone_from(why);
            }
            Input::BankAnswered(_) | Input::VoidConfirmed | Input::RefundConfirmed => {
                self.unanswered.0 = 0;
            }
            Input::DeadlinePassed | Input::OrderValidated(_) | Input::RefundDue(_) => {}
        }
        self.results.push(called);
    }

    /// A call has ended and left nothing: it is made again when its lease ends.
    pub fn call_lost(&mut self) {
        self.calls_under_way = self.calls_under_way.saturating_sub(1);
    }

    /// Why the bank counts as away, if it does: after several calls in a row without an answer, as
    /// a single one may be lost on a good day.
    pub fn bank_problem(&self) -> Option<&str> {
        let (silences, last) = &self.unanswered;
        (*silences >= UNANSWERED_MAX).then_some(last)
    }

    /// What has not come back, as it was seen in the last step.
    pub fn unreturned(&self) -> Option<Unreturned> {
        self.unreturned
    }

    /// Why the relay counts as broken, if it does: a message has not come back for longer than
    /// Connect needs after a crash.
    pub fn relay_problem(&self) -> Option<String> {
        let Unreturned { messages, again, age } = self.unreturned?;
        (age >= PAUSE_MIN).then(|| {
            format!(
                "messages that have not come back on `orders`: {messages}, the first for {} s, \
                 sent again: {again}; `./shop cdc status` says why",
                age.as_secs()
            )
        })
    }

    /// Writes the results that are here.
    ///
    /// # Errors
    /// When the database is away; what is not written is kept.
    pub async fn write_results<D: PaymentsDb>(&mut self, database: &mut D) -> anyhow::Result<()> {
        const CONTEXT: &str = "cannot write what the bank has answered";
        match self.write(database, &self.results).await {
            Err(WriteError::Refused(_)) => {
                // The database is there, but does not take one of them: it must not hold up the
                // others.
                while let Some(called) = self.results.last() {
                    match self.write(database, slice::from_ref(called)).await {
                        Err(WriteError::Refused(cause)) => {
                            let aside = self.set_aside(database, called.order_id, cause, false);
                            aside.await.context(CONTEXT)?;
                        }
                        result => result.context(CONTEXT)?,
                    }
                    self.results.pop();
                }
            }
            result => result.context(CONTEXT)?,
        }
        self.results.clear();
        Ok(())
    }

    /// One transaction for several results, of those claims that still hold.
    async fn write<D: PaymentsDb>(
        &self,
        database: &mut D,
        results: &[Called],
    ) -> Result<(), WriteError> {
        let mut tx = database.begin().await?;
        let claims: Vec<_> = results.iter().map(|called| (called.order_id, called.token)).collect();
        let mut changes = Changes::new(&self.codec, tx.lock_claimed(&claims).await?);
        for Called { order_id, input, at, .. } in results {
            changes.settle(*order_id, input.clone(), *at).map_err(anyhow::Error::new)?;
        }
        tx.write(changes.gathered()).await?;
        tx.commit().await?;
        failpoint::reached("result-written");
        Ok(())
    }

    /// Ends what has expired, up to a limit; whether there was anything.
    async fn expire<D: PaymentsDb>(
        &self,
        database: &mut D,
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        let mut tx = database.begin().await?;
        let rows = tx.lock_expired(now, EXPIRED_MAX).await?;
        let orders: Vec<OrderId> =
            rows.good.keys().chain(rows.unreadable.keys()).copied().collect();
        match self.end(tx, rows, now).await {
            Err(WriteError::Refused(_)) => {
                for order_id in &orders {
                    self.expire_one(database, *order_id, now).await?;
                }
            }
            result => result?,
        }
        Ok(!orders.is_empty())
    }

    /// The same for one of them, as the database does not take them together.
    async fn expire_one<D: PaymentsDb>(
        &self,
        database: &mut D,
        order_id: OrderId,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let mut tx = database.begin().await?;
        let rows = tx.lock_payments(&[order_id]).await?;
        match self.end(tx, rows, now).await {
            Err(WriteError::Refused(cause)) => {
                self.set_aside(database, order_id, cause, true).await
            }
            result => Ok(result?),
        }
    }

    /// Ends the payments of `rows`, and the transaction.
    async fn end(
        &self,
        mut tx: impl PaymentsTx,
        rows: Rows,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let orders: Vec<OrderId> =
            rows.good.keys().chain(rows.unreadable.keys()).copied().collect();
        let mut changes = Changes::new(&self.codec, rows);
        for order_id in orders {
            changes.settle(order_id, Input::DeadlinePassed, now).map_err(anyhow::Error::new)?;
        }
        tx.write(changes.gathered()).await?;
        Ok(tx.commit().await?)
    }

    /// Leaves a payment alone for a while, as the database refuses what it has come to.
    async fn set_aside<D: PaymentsDb>(
        &self,
        database: &mut D,
        order_id: OrderId,
        cause: String,
        expired: bool,
    ) -> anyhow::Result<()> {
        let mut tx = database.begin().await?;
        let mut changes = Changes::new(&self.codec, tx.lock_payments(&[order_id]).await?);
        changes.set_aside(order_id, cause, expired);
        tx.write(changes.gathered()).await?;
        Ok(tx.commit().await?)
    }

    /// Claims up to `free` payments that are due; the calls to make for them.
    async fn claim<D: PaymentsDb>(
        &mut self,
        database: &mut D,
        free: usize,
    ) -> anyhow::Result<Vec<Call>> {
        self.claims += 1;
        let token = Uuid::new_v5(&self.life, &self.claims.to_be_bytes());
        let timeout = self.settings.bank_timeout;
        let rows = database.claim_due(free, token, timeout + LEASE_MARGIN).await?;
        for (order_id, cause) in rows.unreadable {
            // If that fails, the claim keeps it aside for a while.
            if let Err(error) = self.set_aside(database, order_id, cause, false).await {
                let _story = story::of_order(order_id, None).entered();
                tracing::warn!("order {order_id} is not set aside: {error:#}");
            }
        }
        let call = |row: Row| {
            let (attempt, traceparent) = (row.attempts, row.cause.traceparent);
            let task = row.payment.task()?;
            Some(Call { task, payment: row.payment, traceparent, attempt, token, timeout })
        };
        let calls: Vec<Call> = rows.good.into_values().filter_map(call).collect();
        self.calls_under_way += calls.len();
        Ok(calls)
    }

    /// Sends again what the relay has passed by, if it is time: not before the intake has had time
    /// to read what came while no instance ran. Nothing depends on it, so nothing waits for it.
    async fn resend<D: PaymentsDb>(&mut self, database: &mut D, now: Timestamp) {
        let runs_for = now - *self.began_at.get_or_insert(now);
        let is_late = self.unreturned.is_some_and(|unreturned| unreturned.age >= PAUSE_MIN);
        let looked = self.looked_at.is_some_and(|at| now - at < RESEND_INTERVAL);
        if !is_late || looked || runs_for < PAUSE_MIN {
            return;
        }
        self.looked_at = Some(now);
        match database.resend(RESEND_ROWS_MAX).await {
            Ok(0) => {}
            Ok(sent) => {
                tracing::warn!("messages that have not come back on `orders`, sent again: {sent}");
            }
            Err(error) => tracing::warn!("what has not come back is not sent again: {error}"),
        }
    }

    /// Removes old rows of the outbox, if it is time. Nothing depends on it, so nothing waits for
    /// it.
    async fn prune<D: PaymentsDb>(&mut self, database: &mut D, now: Timestamp) {
        if self.pruned_at.is_some_and(|at| now - at < PRUNE_INTERVAL) {
            return;
        }
        let retention = self.settings.outbox_retention;
        match database.prune_outbox(retention, PRUNE_ROWS_MAX).await {
            // There is more, for the next step.
            Ok(pruned) if pruned == u64::from(PRUNE_ROWS_MAX) => {}
            Ok(pruned) => {
                self.pruned_at = Some(now);
                tracing::debug!("{pruned} old rows have left the outbox");
            }
            Err(error) => {
                self.pruned_at = Some(now);
                tracing::warn!("old rows stay in the outbox: {error}");
            }
        }
    }
}

/// Why a transaction was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    /// The database takes the rest, but not this.
    #[error("{0}")]
    Refused(String),
    /// The database, or what encodes the messages, is away.
    #[error(transparent)]
    Away(#[from] anyhow::Error),
}

impl From<DbError> for WriteError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Refused(_) => Self::Refused(error.to_string()),
            DbError::Away(error) => Self::Away(error),
        }
    }
}
