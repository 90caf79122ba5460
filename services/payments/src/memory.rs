//! The tables of payments in memory, for the simulation and the model: rows with the constraints of
//! the migrations, and [`Connection`], which reaches them through a [`Server`] that may fail. A
//! transaction is one step, as `FOR UPDATE` makes it.

use crate::{
    database::{
        Agenda, Aside, ChangeSet, DbError, LedgerEntry, PaymentsDb, PaymentsTx, Place, Position,
        Row, Rows, Unreturned,
    },
    domain::Status,
    outbox::{OutboxRow, pause},
    supervisor::Call,
};
use anyhow::anyhow;
use contracts::{OrderId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

/// A row of `payments`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// What is known of the payment.
    pub row: Row,
    /// When the bank is to be called; none if it is not.
    pub due_at: Option<Timestamp>,
    lease: Option<Uuid>,
    expire_again_at: Option<Timestamp>,
    /// When it was written last.
    pub updated_at: Timestamp,
}

impl Stored {
    /// When its outcome must be known, if it is not and it is not set aside.
    fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let known = &self.row.payment;
        let is_open = known.status == Status::Intent;
        let is_aside = self.expire_again_at.is_some_and(|at| at > now);
        (is_open && !is_aside).then_some(known.order.deadline)
    }
}

/// A message that has not come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent {
    written_at: Timestamp,
    /// How often it was sent, when last, and where in the log that was.
    times: u32,
    sent_at: Timestamp,
    place: usize,
}

/// The tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tables {
    /// `payments`.
    pub payments: BTreeMap<OrderId, Stored>,
    /// `ledger_entries`.
    pub ledger: Vec<LedgerEntry>,
    /// `outbox`, in the order of the log of the database.
    pub outbox: Vec<OutboxRow>,
    said: BTreeSet<Uuid>,
    booked: BTreeSet<(OrderId, &'static str, &'static str)>,
    offsets: BTreeMap<Place, Position>,
    /// Payments that were set aside at some time.
    pub set_aside: BTreeSet<OrderId>,
    /// How much of the outbox the relay has confirmed. If that cannot be known, payments does not
    /// look for what has not come back either.
    pub relayed: Option<usize>,
    unreturned: BTreeMap<Uuid, Sent>,
    /// Broken on purpose: the former owner of a partition may still write for it.
    pub unfenced: bool,
}

impl Tables {
    /// Whether the claim with which `call` is made still holds.
    pub fn is_claimed_by(&self, call: &Call) -> bool {
        let stored = self.payments.get(&call.order_id());
        stored.is_some_and(|stored| stored.lease == Some(call.token()))
    }

    fn rows<'a>(&self, orders: impl IntoIterator<Item = &'a OrderId>) -> Rows {
        let row = |order: &OrderId| Some((*order, self.payments.get(order)?.row.clone()));
        let rows = orders.into_iter().filter_map(row);
        Rows { good: rows.collect(), unreadable: BTreeMap::new() }
    }

    /// The constraint that holds against `changes`, if one does.
    fn refusal(&self, changes: &ChangeSet) -> Option<String> {
        let said = changes.outbox.iter().find(|row| self.said.contains(&row.id()));
        let booked = changes.entries.iter().find(|entry| self.booked.contains(&key(entry)));
        said.map(|row| format!("outbox: {} was said before", row.id())).or_else(|| {
            booked.map(|entry| format!("ledger_entries: {:?} was booked before", key(entry)))
        })
    }

    /// Writes `changes`; each row waits for this share of its time, in thousandths.
    fn apply(&mut self, changes: ChangeSet, now: Timestamp, shares: Vec<u32>) {
        let ChangeSet { rows, entries, outbox, returned, aside } = changes;
        for (row, share) in rows.into_iter().zip(shares) {
            let order_id = row.payment.order.order_id;
            let due_at = row.due_in.map(|due_in| now + due_in * share / 1_000);
            let (row, updated_at) = (Row { due_in: None, ..row }, now);
            let (lease, expire_again_at) = (None, None);
            let stored = Stored { row, due_at, lease, expire_again_at, updated_at };
            self.payments.insert(order_id, stored);
        }
        for Aside { order_id, cause, retry_in, expired } in aside {
            self.set_aside.insert(order_id);
            let Some(stored) = self.payments.get_mut(&order_id) else { continue };
            stored.row.last_error = Some(cause);
            (stored.lease, stored.updated_at) = (None, now);
            stored.due_at = stored.due_at.map(|_| now + retry_in);
            if expired {
                stored.expire_again_at = Some(now + retry_in);
            }
        }
        self.booked.extend(entries.iter().map(key));
        self.ledger.extend(entries);
        self.said.extend(outbox.iter().map(OutboxRow::id));
        if self.relayed.is_some() {
            let (next, written_at, sent_at) = (self.outbox.len(), now, now);
            let places = outbox.iter().zip(next..).filter(|(row, _)| row.returns());
            self.unreturned.extend(
                places
                    .map(|(row, place)| (row.id(), Sent { written_at, times: 1, sent_at, place })),
            );
        }
        self.outbox.extend(outbox);
        for row in returned {
            self.unreturned.remove(&row);
        }
    }

    /// When the first message is sent again that has not come back by then, if there is one.
    pub fn resend_at(&self) -> Option<Timestamp> {
        self.unreturned.values().map(|sent| sent.sent_at + pause(sent.times)).min()
    }
}

/// What is booked once.
fn key(entry: &LedgerEntry) -> (OrderId, &'static str, &'static str) {
    (entry.order_id, entry.kind.as_str(), entry.account.as_str())
}

/// Who keeps the tables, and what happens on the way to it and back. As it stands here, nothing.
pub trait Server: Send {
    /// The tables.
    fn tables(&self) -> &Tables;

    /// The tables, to be written.
    fn tables_mut(&mut self) -> &mut Tables;

    /// Its clock.
    fn now(&self) -> Timestamp;

    /// How many of the `limit` due payments, 1 at least, no other instance has locked.
    fn unlocked(&mut self, limit: usize) -> usize {
        limit
    }

    /// The share of its wait after which a payment is due, at random: 500 to 1,000 thousandths.
    fn spread(&mut self) -> u32 {
        1_000
    }

    /// It is asked for something.
    ///
    /// # Errors
    /// When it is away.
    fn asked(&mut self) -> Result<(), DbError> {
        Ok(())
    }

    /// It is asked to commit.
    ///
    /// # Errors
    /// When it is away, and nothing is committed.
    fn committing(&mut self) -> Result<(), DbError> {
        Ok(())
    }

    /// It has done `what`, about these orders.
    ///
    /// # Errors
    /// When the answer is lost.
    fn done(&mut self, what: &str, orders: Option<BTreeSet<OrderId>>) -> Result<(), DbError> {
        let _ = (what, orders);
        Ok(())
    }
}

/// The database, as one instance reaches it.
pub struct Connection<S>(pub S);

impl<S: Server> PaymentsDb for Connection<S> {
    type Tx<'t>
        = Transaction<'t, S>
    where
        Self: 't;

    async fn claim_partitions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        self.0.asked()?;
        self.0.committing()?;
        let tables = self.0.tables_mut();
        let raised = i64::from(!tables.unfenced);
        let claim = |place: &Place| {
            let fresh = Position { next_offset: 0, epoch: 0 };
            let position = tables.offsets.entry(place.clone()).or_insert(fresh);
            position.epoch += raised;
            (place.clone(), *position)
        };
        let claimed = places.iter().map(claim).collect();
        self.0.done(&format!("claims {places:?}"), None)?;
        Ok(claimed)
    }

    async fn begin(&mut self) -> Result<Transaction<'_, S>, DbError> {
        self.0.asked()?;
        let (changes, positions) = (ChangeSet::default(), BTreeMap::new());
        Ok(Transaction { server: &mut self.0, changes, positions })
    }

    async fn agenda(&mut self, now: Timestamp) -> Result<Agenda, DbError> {
        let (payments, clock) = (&self.0.tables().payments, self.0.now());
        let due_at = payments.values().filter_map(|stored| stored.due_at).min();
        let deadline = payments.values().filter_map(|stored| stored.deadline(clock)).min();
        let due_in = due_at.map(|at| at - clock);
        let sent = &self.0.tables().unreturned;
        let first = sent.values().map(|sent| sent.written_at).min();
        let unreturned = first.map(|first| Unreturned {
            messages: sent.len() as u64,
            again: sent.values().filter(|sent| sent.times > 1).count() as u64,
            age: clock - first,
        });
        Ok(Agenda { due_in, deadline_in: deadline.map(|at| at - now), unreturned })
    }

    async fn claim_due(
        &mut self,
        limit: usize,
        token: Uuid,
        lease: Duration,
    ) -> Result<Rows, DbError> {
        self.0.asked()?;
        self.0.committing()?;
        let (limit, now) = (self.0.unlocked(limit), self.0.now());
        let due = |stored: &&mut Stored| stored.due_at.is_some_and(|due_at| due_at <= now);
        let mut good = BTreeMap::new();
        for stored in self.0.tables_mut().payments.values_mut().filter(due).take(limit) {
            stored.due_at = Some(now + lease);
            stored.lease = Some(token);
            stored.row.attempts += 1;
            good.insert(stored.row.payment.order.order_id, stored.row.clone());
        }
        if !good.is_empty() {
            self.0.done("claims payments", Some(good.keys().copied().collect()))?;
        }
        Ok(Rows { good, unreadable: BTreeMap::new() })
    }

    async fn resend(&mut self, limit: u32) -> Result<u64, DbError> {
        self.0.asked()?;
        let now = self.0.now();
        let tables = self.0.tables_mut();
        let relayed = tables.relayed.unwrap_or(0);
        let passed_by =
            |sent: &&mut Sent| sent.place < relayed && sent.sent_at + pause(sent.times) < now;
        let mut resent = 0;
        for sent in tables.unreturned.values_mut().filter(passed_by).take(limit as usize) {
            let again = tables.outbox[sent.place].clone();
            (sent.place, sent.sent_at) = (tables.outbox.len(), now);
            sent.times += 1;
            tables.outbox.push(again);
            resent += 1;
        }
        if resent > 0 {
            self.0.done("sends again what has not come back", None)?;
        }
        Ok(resent)
    }

    async fn prune_outbox(&mut self, _: Duration, _: u32) -> Result<u64, DbError> {
        // No run is longer than the shortest time that a row is kept.
        Ok(0)
    }
}

/// A transaction: what it writes is seen from its commit on.
pub struct Transaction<'t, S> {
    server: &'t mut S,
    changes: ChangeSet,
    positions: BTreeMap<Place, Position>,
}

impl<S: Server> PaymentsTx for Transaction<'_, S> {
    async fn lock_positions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        let known = &self.server.tables().offsets;
        let position = |place: &Place| Some((place.clone(), *known.get(place)?));
        Ok(places.iter().filter_map(position).collect())
    }

    async fn lock_payments(&mut self, orders: &[OrderId]) -> Result<Rows, DbError> {
        Ok(self.server.tables().rows(orders))
    }

    async fn lock_claimed(&mut self, claims: &[(OrderId, Uuid)]) -> Result<Rows, DbError> {
        let tables = self.server.tables();
        let holds = |(order, token): &&(OrderId, Uuid)| {
            tables.payments.get(order).is_some_and(|stored| stored.lease == Some(*token))
        };
        Ok(tables.rows(claims.iter().filter(holds).map(|(order, _)| order)))
    }

    async fn lock_expired(&mut self, now: Timestamp, limit: usize) -> Result<Rows, DbError> {
        let (tables, clock) = (self.server.tables(), self.server.now());
        let has_expired = |(_, stored): &(&OrderId, &Stored)| {
            stored.deadline(clock).is_some_and(|deadline| deadline <= now)
        };
        let expired = tables.payments.iter().filter(has_expired);
        Ok(tables.rows(expired.map(|(order, _)| order).take(limit)))
    }

    async fn write(&mut self, changes: ChangeSet) -> Result<(), DbError> {
        match self.server.tables().refusal(&changes) {
            Some(refusal) => Err(DbError::Refused(anyhow!(refusal))),
            None => {
                self.changes = changes;
                Ok(())
            }
        }
    }

    async fn advance(&mut self, positions: &BTreeMap<Place, Position>) -> Result<usize, DbError> {
        let known = &self.server.tables().offsets;
        let ours = positions.iter().filter(|(place, position)| {
            known.get(*place).is_some_and(|known| known.epoch == position.epoch)
        });
        self.positions = ours.map(|(place, position)| (place.clone(), *position)).collect();
        Ok(self.positions.len())
    }

    async fn commit(self) -> Result<(), DbError> {
        let Self { server, changes, positions } = self;
        server.committing()?;
        let orders = changes.rows.iter().map(|row| row.payment.order.order_id).collect();
        let (now, shares) = (server.now(), changes.rows.iter().map(|_| server.spread()).collect());
        let tables = server.tables_mut();
        tables.apply(changes, now, shares);
        tables.offsets.extend(positions);
        server.done("commits in Postgres", Some(orders))
    }
}

/// What `future` gives, which waits for nothing but tables in memory.
///
/// # Panics
/// When it waits for something else.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("tables in memory answer at once"),
    }
}
