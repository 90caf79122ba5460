//! [`PaymentsDb`]: the database of payments, as far as its intake and its supervisor need it. They
//! take every decision; an implementation keeps rows, locks them and knows the time.
//!
//! There are two: Postgres (`adapters/postgres`), and tables in memory ([`crate::memory`]).

use crate::{
    domain::{Account, Booking, Payment},
    outbox::OutboxRow,
};
use contracts::{Currency, OrderId, Timestamp};
use std::{collections::BTreeMap, future::Future, time::Duration};
use streams::lineage::Cause;
use uuid::Uuid;

/// A partition of a topic.
pub type Place = (String, i32);

/// What is known of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The first record that has not been applied.
    pub next_offset: i64,
    /// How often the partition was given to an instance.
    pub epoch: i64,
}

/// A payment with what is needed to work on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// The payment.
    pub payment: Payment,
    /// The record that gave payments the baton.
    pub cause: Cause,
    /// Calls to the bank for the task at hand.
    pub attempts: u32,
    /// How the last one failed.
    pub last_error: Option<String>,
    /// When the bank is to be called (again), from now on. The database waits about half of it to
    /// all of it, at random, so that calls which failed together do not come back together.
    pub due_in: Option<Duration>,
}

/// Payments that were read, as far as they can be.
#[derive(Debug, Default)]
pub struct Rows {
    /// Those that are as we write them.
    pub good: BTreeMap<OrderId, Row>,
    /// The others, and why they are not.
    pub unreadable: BTreeMap<OrderId, String>,
}

impl FromIterator<(OrderId, Result<Row, String>)> for Rows {
    fn from_iter<I: IntoIterator<Item = (OrderId, Result<Row, String>)>>(rows: I) -> Self {
        let mut known = Self::default();
        for (order_id, row) in rows {
            match row {
                Ok(row) => drop(known.good.insert(order_id, row)),
                Err(cause) => drop(known.unreadable.insert(order_id, cause)),
            }
        }
        known
    }
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    pub currency: Currency,
    /// When it was known.
    pub at: Timestamp,
}

/// A payment that cannot be decided or written, for a reason of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Whose payment.
    pub order_id: OrderId,
    /// What is wrong with it.
    pub cause: String,
    /// How long it is left alone.
    pub retry_in: Duration,
    /// Its deadline has come: it is not ended before that either.
    pub expired: bool,
}

/// What one transaction writes: all or nothing.
#[derive(Debug, Default)]
pub struct ChangeSet {
    /// Payments as they will be, new or known. A claim on one of them ends.
    pub rows: Vec<Row>,
    /// Lines that are added to the ledger.
    pub entries: Vec<LedgerEntry>,
    /// What is said.
    pub outbox: Vec<OutboxRow>,
    /// Messages that have come back from `orders`, by the ids of their rows.
    pub returned: Vec<Uuid>,
    /// Payments that are left alone for a while. A claim on one of them ends.
    pub aside: Vec<Aside>,
}

/// What comes next, and when; zero if its time has come, `None` if there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agenda {
    /// The time until the bank is to be called.
    pub due_in: Option<Duration>,
    /// The time until a payment with an unknown outcome expires.
    pub deadline_in: Option<Duration>,
    /// What was said and has not come back, if there is anything.
    pub unreturned: Option<Unreturned>,
}

/// The messages on `orders` that have not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreturned {
    /// How many they are.
    pub messages: u64,
    /// How many of them were sent again already.
    pub again: u64,
    /// How long ago the first of them was written.
    pub age: Duration,
}

/// Why the database has not done what it was asked to do. A transaction has changed nothing then,
/// except if its commit is away: that is not known.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It was reached and will never take this: a constraint holds, or it cannot keep the data.
    #[error("the database refuses it: {0:#}")]
    Refused(anyhow::Error),
    /// It does not answer, or not now.
    #[error("{0:#}")]
    Away(anyhow::Error),
}

/// The database of payments. Each call is a transaction of its own.
///
/// # Errors
/// [`DbError`] everywhere.
pub trait PaymentsDb: Send {
    /// An open transaction; what is not committed has not happened.
    type Tx<'a>: PaymentsTx
    where
        Self: 'a;

    /// Raises the epochs of the partitions, and gives their positions: from the start, if one was
    /// never claimed before.
    fn claim_partitions(
        &mut self,
        places: &[Place],
    ) -> impl Future<Output = Result<BTreeMap<Place, Position>, DbError>> + Send;

    /// Opens a transaction.
    fn begin(&mut self) -> impl Future<Output = Result<Self::Tx<'_>, DbError>> + Send;

    /// What comes next after `now`.
    fn agenda(&mut self, now: Timestamp) -> impl Future<Output = Result<Agenda, DbError>> + Send;

    /// Claims up to `limit` payments that are due, with `token`, and counts the attempt: for
    /// `lease` no other instance can claim them. Passes over what another transaction has locked.
    fn claim_due(
        &mut self,
        limit: usize,
        token: Uuid,
        lease: Duration,
    ) -> impl Future<Output = Result<Rows, DbError>> + Send;

    /// Sends up to `limit` messages again that the relay has passed by: it is beyond their place in
    /// the log of the database, and they have not come back within their [`outbox::pause`]. How
    /// many. A message for which the relay only has no time yet is none of them.
    ///
    /// [`outbox::pause`]: crate::outbox::pause
    fn resend(&mut self, limit: u32) -> impl Future<Output = Result<u64, DbError>> + Send;

    /// Removes up to `limit` rows of the outbox that are older than `retention`, and not on their
    /// way any more; how many.
    fn prune_outbox(
        &mut self,
        retention: Duration,
        limit: u32,
    ) -> impl Future<Output = Result<u64, DbError>> + Send;
}

/// A transaction on the database of payments. What it has locked is its own until it ends.
///
/// # Errors
/// [`DbError`] everywhere; the transaction is to be dropped then.
pub trait PaymentsTx: Send {
    /// Locks the positions of these partitions, so that no instance can raise their epoch
    /// meanwhile.
    fn lock_positions(
        &mut self,
        places: &[Place],
    ) -> impl Future<Output = Result<BTreeMap<Place, Position>, DbError>> + Send;

    /// Locks the payments of these orders that exist.
    fn lock_payments(
        &mut self,
        orders: &[OrderId],
    ) -> impl Future<Output = Result<Rows, DbError>> + Send;

    /// Locks the payments that were claimed with these tokens, and with no token since.
    fn lock_claimed(
        &mut self,
        claims: &[(OrderId, Uuid)],
    ) -> impl Future<Output = Result<Rows, DbError>> + Send;

    /// Locks up to `limit` payments whose deadline has passed while their outcome is unknown,
    /// except for what is set aside. Passes over what another transaction has locked.
    fn lock_expired(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Rows, DbError>> + Send;

    /// Writes `changes`.
    fn write(&mut self, changes: ChangeSet) -> impl Future<Output = Result<(), DbError>> + Send;

    /// Moves the partitions on to these positions, where the epoch is still that one; how many.
    fn advance(
        &mut self,
        positions: &BTreeMap<Place, Position>,
    ) -> impl Future<Output = Result<usize, DbError>> + Send;

    /// Makes it happen.
    fn commit(self) -> impl Future<Output = Result<(), DbError>> + Send;
}
