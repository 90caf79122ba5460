//! [`Changes`]: what a batch of decisions changes, gathered before any of it is written. Decisions
//! are made before the first write, so that a poison record costs no savepoint and spoils nothing.

use super::{
    outbox::{self, OutboxRow},
    payments::{self, Aside, Row, Rows},
};
use crate::domain::{
    Account, Booking, Decision, Input,
    books::booking,
    decide, evolve,
    payment::{Payment, backoff},
};
use contracts::{OrderId, Timestamp};
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use streams::{Codec, Failure, Record, lineage::Cause};

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Whose payment.
    pub order_id: OrderId,
    /// Of which movement.
    pub kind: Booking,
    /// On which account.
    pub account: Account,
    /// Minor units: a debit is positive, a credit negative.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// When it was known.
    pub at: Timestamp,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Payments as they will be. Whoever had claimed one of them has lost it.
    pub rows: Vec<Row>,
    /// Lines that are added to the ledger.
    pub entries: Vec<LedgerEntry>,
    /// What is said.
    pub outbox: Vec<OutboxRow>,
    /// Payments that cannot go on for now.
    pub aside: Vec<Aside>,
}

/// Payments as they will be, ledger entries and messages: all or nothing.
pub struct Changes<'a> {
    codec: &'a Codec,
    /// Rows that are locked, as they were read or as they will be.
    rows: BTreeMap<OrderId, Row>,
    /// Rows that are locked and cannot be read, and why.
    unreadable: BTreeMap<OrderId, String>,
    changed: BTreeSet<OrderId>,
    bookings: Vec<(OrderId, Booking, Timestamp)>,
    outbox: Vec<OutboxRow>,
    aside: Vec<Aside>,
}

/// How long a payment that cannot be decided or written is left alone. What is wrong with it is
/// seldom mended by itself, and each attempt is an error in the log.
pub const SET_ASIDE: Duration = Duration::from_secs(60);

impl<'a> Changes<'a> {
    /// Nothing yet, over the `rows` that are locked.
    pub fn new(codec: &'a Codec, rows: impl Into<Rows>) -> Self {
        let Rows { good: rows, unreadable } = rows.into();
        let (changed, bookings) = (BTreeSet::new(), Vec::new());
        let (outbox, aside) = (Vec::new(), Vec::new());
        Self { codec, rows, unreadable, changed, bookings, outbox, aside }
    }

    /// Decides on `input`, which was known `at`, and gathers what follows. `cause` is the record
    /// that the input came with; an answer of the bank has none and goes on with the payment's.
    ///
    /// # Errors
    /// [`Failure::Poison`] if it cannot have happened, or the payment cannot be read.
    pub fn decide(
        &mut self,
        order_id: OrderId,
        input: Input,
        cause: Option<Cause>,
        at: Timestamp,
    ) -> Result<(), Failure> {
        if let Some(cause) = self.unreadable.get(&order_id) {
            return Err(Failure::poison(cause));
        }
        let before = self.rows.get(&order_id);
        let payment = before.map(|row| &row.payment);
        let cause = cause.or_else(|| before.map(|row| row.cause.clone())).unwrap_or_default();
        let attempts = before.map_or(0, |row| row.attempts);
        let decision = decide(payment, input, at);

        // The one step that can fail comes first, so that a failure leaves nothing behind.
        self.outbox.extend(self.message(&decision, &cause, at)?);
        self.bookings.extend(booking(payment, &decision).map(|booking| (order_id, booking, at)));
        let (attempts, last_error, due_in) = match &decision {
            Decision::Ignored(_) => return Ok(()),
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
        if let Some(payment) = evolve(payment.cloned(), &decision) {
            let due_in = payment.task().map(|_| due_in);
            let void_due = payment.void_due;
            tracing::debug!(%order_id, status = payment.status.as_str(), void_due, "decided");
            self.rows.insert(order_id, Row { payment, cause, attempts, last_error, due_in });
            self.changed.insert(order_id);
        }
        Ok(())
    }

    /// Decides on what a call to the bank gave, or time. Nothing, if the claim of the caller has not
    /// held: the row is then not among those that are locked. A payment that cannot be decided is
    /// set aside.
    ///
    /// # Errors
    /// As [`Codec::encode`], except for poison.
    pub fn settle(
        &mut self,
        order_id: OrderId,
        input: Input,
        at: Timestamp,
    ) -> Result<(), Failure> {
        if !self.rows.contains_key(&order_id) && !self.unreadable.contains_key(&order_id) {
            tracing::debug!(%order_id, "somebody else has claimed it meanwhile");
            return Ok(());
        }
        let expired = input == Input::DeadlinePassed;
        match self.decide(order_id, input, None, at) {
            Err(Failure::Poison(cause)) => {
                self.set_aside(order_id, cause, expired);
                Ok(())
            }
            result => result,
        }
    }

    /// Leaves a payment alone for a while; `expired`: although its deadline has come.
    pub fn set_aside(&mut self, order_id: OrderId, cause: String, expired: bool) {
        tracing::error!("order {order_id} is set aside for {SET_ASIDE:?}: {cause}");
        self.aside.push(Aside { order_id, cause, retry_in: SET_ASIDE, expired });
    }

    /// `record` is poison: send it to the dead letters.
    pub fn dead_letter(&mut self, record: &Record, cause: &str, at: Timestamp) {
        tracing::warn!("{} goes to the dead letters: {cause}", record.address());
        self.outbox.push(OutboxRow::dead_letter(record, cause, at));
    }

    /// The payment of an order, as it will be.
    pub fn payment(&self, order_id: OrderId) -> Option<&Payment> {
        self.rows.get(&order_id).map(|row| &row.payment)
    }

    /// Whether the bank is to be called for one of the changed payments.
    pub fn calls_for_work(&self) -> bool {
        self.changed
            .iter()
            .any(|order| self.rows.get(order).is_some_and(|row| row.due_in.is_some()))
    }

    /// Everything that is to be written.
    pub fn gathered(self) -> Gathered {
        let entries = self.bookings.iter().flat_map(|(order_id, kind, at)| {
            let total = self.payment(*order_id).map(|payment| &payment.order.total);
            total.into_iter().flat_map(|total| {
                kind.entries(total.amount_minor).map(|(account, amount_minor)| {
                    let (order_id, kind, at) = (*order_id, *kind, *at);
                    let currency = total.currency.clone();
                    LedgerEntry { order_id, kind, account, amount_minor, currency, at }
                })
            })
        });
        let entries = entries.collect();
        let rows = self.changed.iter().filter_map(|order| self.rows.get(order).cloned()).collect();
        Gathered { rows, entries, outbox: self.outbox, aside: self.aside }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// When the database is away, or one of its constraints holds: an order is captured once, a
    /// booking sums up to zero, a thing is said once.
    pub async fn write(self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Gathered { rows, entries, outbox, aside } = self.gathered();
        payments::upsert(tx, &rows).await?;
        book(tx, &entries).await?;
        outbox::insert(tx, &outbox).await?;
        payments::set_aside(tx, &aside).await
    }

    fn message(
        &self,
        decision: &Decision,
        cause: &Cause,
        at: Timestamp,
    ) -> Result<Option<OutboxRow>, Failure> {
        let codec = self.codec;
        match decision {
            Decision::Capture { next, .. } => {
                OutboxRow::transition(codec, next, cause, at).map(Some)
            }
            Decision::Decline { next, .. } => {
                OutboxRow::transition(codec, next, cause, at).map(Some)
            }
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
}

async fn book(tx: &mut PgConnection, entries: &[LedgerEntry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ledger_entries (order_id, kind, account, amount_minor, currency, at_ms) \
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], \
             $6::bigint[])",
    )
    .bind(entries.iter().map(|entry| entry.order_id.0).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.account.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.amount_minor).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| &*entry.currency).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.at.millis()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
