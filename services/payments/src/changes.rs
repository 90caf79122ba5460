//! [`Changes`]: the writes of a batch, collected before the first one. All decisions come before
//! the first write, so a poison record needs no savepoint and damages no other.

use crate::{
    database::{Aside, ChangeSet, LedgerEntry, Row, Rows},
    domain::{
        Booking, Decision, Ignored, Input, Payment, books::booking, decide, evolve,
        payment::backoff,
    },
    outbox::OutboxRow,
};
use contracts::{OrderId, Timestamp, story};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::{Codec, Failure, Record, lineage::Cause};
use uuid::Uuid;

/// How long a payment that cannot be decided or written is left alone. What is wrong with it is
/// seldom mended by itself, and each attempt is an error in the log.
pub const SET_ASIDE: Duration = Duration::from_secs(60);

/// Payments as they will be, ledger entries and messages: all or nothing.
pub struct Changes<'a> {
    codec: &'a Codec,
    /// Rows that are locked, as they were read or as they will be.
    rows: BTreeMap<OrderId, Row>,
    /// Rows that are locked and cannot be read, and why.
    unreadable: BTreeMap<OrderId, String>,
    changed: BTreeSet<OrderId>,
    entries: Vec<LedgerEntry>,
    outbox: Vec<OutboxRow>,
    returned: Vec<Uuid>,
    aside: Vec<Aside>,
}

impl<'a> Changes<'a> {
    /// Nothing yet, over the `rows` that are locked.
    pub fn new(codec: &'a Codec, rows: Rows) -> Self {
        let Rows { good: rows, unreadable } = rows;
        let changed = BTreeSet::new();
        let (entries, outbox, aside) = (Vec::new(), Vec::new(), Vec::new());
        let returned = Vec::new();
        Self { codec, rows, unreadable, changed, entries, outbox, returned, aside }
    }

    /// Decides on `input`, which was known `at`, and gathers what follows. `cause` is the record
    /// that the input came with; an answer of the bank has none and goes on with the payment's. Why
    /// nothing changes, if nothing does.
    ///
    /// # Errors
    /// [`Failure::Poison`] if it cannot have happened, or the payment cannot be read;
    /// [`Failure::Retriable`] as [`Codec::encode`].
    pub fn decide(
        &mut self,
        order_id: OrderId,
        input: Input,
        cause: Option<Cause>,
        at: Timestamp,
    ) -> Result<Option<Ignored>, Failure> {
        if let Some(cause) = self.unreadable.get(&order_id) {
            return Err(Failure::poison(cause));
        }
        let known = self.rows.get(&order_id);
        let state = known.map(|row| row.payment.clone());
        let cause = cause.or_else(|| known.map(|row| row.cause.clone())).unwrap_or_default();
        let attempts = known.map_or(0, |row| row.attempts);
        let _story = story::of_order(order_id, cause.traceparent.as_deref()).entered();
        let decision = decide(&state, input, at);

        // The one step that can fail comes first, so that a failure leaves nothing behind.
        self.outbox.extend(message(self.codec, &decision, &cause, at)?);
        let booked = booking(&state, &decision);
        let (attempts, last_error, due_in) = match &decision {
            Decision::Ignored(why) => return Ok(Some(*why)),
            Decision::Retry(why) => (attempts, Some(why.clone()), backoff(attempts)),
            Decision::Impossible(_)
            | Decision::Intend(_)
            | Decision::Capture { .. }
            | Decision::Decline { .. }
            | Decision::VoidLate { .. }
            | Decision::Voided
            | Decision::OweRefund(_)
            | Decision::Refund { .. } => (0, None, Duration::ZERO),
        };
        if let Some(payment) = evolve(state, &decision) {
            let due_in = payment.task().map(|_| due_in);
            let (status, void_due) = (payment.status.as_str(), payment.void_due);
            tracing::debug!(status, void_due, "decided");
            self.entries.extend(booked.into_iter().flat_map(|kind| entries(kind, &payment, at)));
            self.rows.insert(order_id, Row { payment, cause, attempts, last_error, due_in });
            self.changed.insert(order_id);
        }
        Ok(None)
    }

    /// Decides on what a call to the bank gave, or time. Nothing, if the claim of the caller has
    /// not held: the row is then not among those that are locked. A payment that cannot be decided
    /// is set aside.
    ///
    /// # Errors
    /// As [`Changes::decide`], except for poison.
    pub fn settle(
        &mut self,
        order_id: OrderId,
        input: Input,
        at: Timestamp,
    ) -> Result<(), Failure> {
        if !self.rows.contains_key(&order_id) && !self.unreadable.contains_key(&order_id) {
            let _story = story::of_order(order_id, None).entered();
            tracing::debug!("another instance has claimed it meanwhile");
            return Ok(());
        }
        let expired = input == Input::DeadlinePassed;
        match self.decide(order_id, input, None, at) {
            Err(Failure::Poison(cause)) => self.set_aside(order_id, cause, expired),
            Ok(Some(Ignored::BeforeDeadline)) => {
                let cause = "its row has a deadline that its order does not have".to_owned();
                self.set_aside(order_id, cause, expired);
            }
            result => drop(result?),
        }
        Ok(())
    }

    /// Leaves a payment alone for a while; `expired`: although its deadline has come.
    pub fn set_aside(&mut self, order_id: OrderId, cause: String, expired: bool) {
        let known = self.rows.get(&order_id);
        let traceparent = known.and_then(|row| row.cause.traceparent.as_deref());
        let _story = story::of_order(order_id, traceparent).entered();
        tracing::error!("order {order_id} is set aside for {SET_ASIDE:?}: {cause}");
        self.aside.push(Aside { order_id, cause, retry_in: SET_ASIDE, expired });
    }

    /// A row of the outbox has come back from `orders`.
    pub fn returned(&mut self, row: Uuid) {
        self.returned.push(row);
    }

    /// `record` is poison: send it to the dead letters.
    pub fn dead_letter(&mut self, record: &Record, cause: &str, at: Timestamp) {
        let _story = story::span(&Cause::of(record), Some(record)).entered();
        tracing::warn!(record = record.address(), "dead letter: {cause}");
        self.outbox.push(OutboxRow::dead_letter(record, cause, at));
    }

    /// Whether the bank is to be called for one of the changed payments.
    pub fn calls_for_work(&self) -> bool {
        let is_due = |order| self.rows.get(order).is_some_and(|row| row.due_in.is_some());
        self.changed.iter().any(is_due)
    }

    /// Everything that is to be written.
    pub fn gathered(mut self) -> ChangeSet {
        let rows = self.changed.iter().filter_map(|order| self.rows.remove(order)).collect();
        let Self { entries, outbox, returned, aside, .. } = self;
        ChangeSet { rows, entries, outbox, returned, aside }
    }
}

/// What a decision says on `orders`.
fn message(
    codec: &Codec,
    decision: &Decision,
    cause: &Cause,
    at: Timestamp,
) -> Result<Option<OutboxRow>, Failure> {
    match decision {
        Decision::Capture { next, .. } => OutboxRow::transition(codec, next, cause, at).map(Some),
        Decision::Decline { next, .. } => OutboxRow::transition(codec, next, cause, at).map(Some),
        Decision::Refund { next } => OutboxRow::transition(codec, next, cause, at).map(Some),
        Decision::Impossible(why) => Err(Failure::poison(format!("impossible: {why}"))),
        Decision::Intend(_)
        | Decision::VoidLate { .. }
        | Decision::Voided
        | Decision::OweRefund(_)
        | Decision::Retry(_)
        | Decision::Ignored(_) => Ok(None),
    }
}

/// The entries of a booking of the whole amount.
fn entries(kind: Booking, payment: &Payment, at: Timestamp) -> [LedgerEntry; 2] {
    let (order_id, total) = (payment.order.order_id, &payment.order.total);
    kind.entries(total.amount_minor).map(|(account, amount_minor)| {
        let currency = total.currency;
        LedgerEntry { order_id, kind, account, amount_minor, currency, at }
    })
}
