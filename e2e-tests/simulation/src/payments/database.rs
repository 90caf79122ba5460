//! The database of payments: its tables, with the constraints of the migration, and how an instance
//! reaches them. A transaction is one step, as `FOR UPDATE` makes it.

use crate::{faults::Fault, mutation::Mutation, sim::Sim};
use anyhow::anyhow;
use contracts::{OrderId, Timestamp};
use fastrand::Rng;
use payments::{
    database::{
        Agenda, Aside, ChangeSet, DbError, LedgerEntry, PaymentsDb, PaymentsTx, Place, Position,
        Row, Rows,
    },
    domain::Status,
    outbox::OutboxRow,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

/// A row of `payments`.
pub(crate) struct Payment {
    pub(crate) row: Row,
    due_at: Option<Timestamp>,
    lease: Option<Uuid>,
    expire_again_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

impl Payment {
    /// When its outcome must be known, if it is not and it is not set aside.
    fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let known = &self.row.payment;
        let is_open = known.status == Status::Intent;
        let is_aside = self.expire_again_at.is_some_and(|at| at > now);
        (is_open && !is_aside).then_some(known.order.deadline)
    }
}

/// The tables.
#[derive(Default)]
pub(crate) struct Database {
    pub(crate) payments: BTreeMap<OrderId, Payment>,
    pub(crate) ledger: Vec<LedgerEntry>,
    /// In the order of the log of the database.
    pub(crate) outbox: Vec<OutboxRow>,
    said: BTreeSet<Uuid>,
    booked: BTreeSet<(OrderId, &'static str, &'static str)>,
    offsets: BTreeMap<Place, Position>,
}

impl Database {
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

    fn apply(&mut self, changes: ChangeSet, now: Timestamp, dice: &mut Rng) {
        let ChangeSet { rows, entries, outbox, aside } = changes;
        for row in rows {
            let order_id = row.payment.order.order_id;
            // Half of the wait to all of it, at random.
            let mut wait = |wait: Duration| wait.mul_f64(0.5 + dice.f64() / 2.0);
            let due_at = row.due_in.map(|due_in| now + wait(due_in));
            let (row, updated_at) = (Row { due_in: None, ..row }, now);
            let (lease, expire_again_at) = (None, None);
            let payment = Payment { row, due_at, lease, expire_again_at, updated_at };
            self.payments.insert(order_id, payment);
        }
        for Aside { order_id, cause, retry_in, expired } in aside {
            let Some(payment) = self.payments.get_mut(&order_id) else { continue };
            payment.row.last_error = Some(cause);
            (payment.lease, payment.updated_at) = (None, now);
            payment.due_at = payment.due_at.map(|_| now + retry_in);
            if expired {
                payment.expire_again_at = Some(now + retry_in);
            }
        }
        self.booked.extend(entries.iter().map(key));
        self.ledger.extend(entries);
        self.said.extend(outbox.iter().map(OutboxRow::id));
        self.outbox.extend(outbox);
    }
}

/// What is booked once.
fn key(entry: &LedgerEntry) -> (OrderId, &'static str, &'static str) {
    (entry.order_id, entry.kind.as_str(), entry.account.as_str())
}

/// The database as one instance reaches it, for as long as it lives.
pub(crate) struct Connection<'a> {
    sim: &'a mut Sim,
    actor: &'a str,
    /// The process has died meanwhile.
    pub(crate) died: bool,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(sim: &'a mut Sim, actor: &'a str) -> Self {
        Self { sim, actor, died: false }
    }

    /// Before the database is asked for anything.
    fn reach(&mut self) -> Result<(), DbError> {
        if self.died || self.sim.strikes(Fault::SqlAway, self.actor) {
            return Err(DbError::Away(anyhow!("Postgres does not answer")));
        }
        Ok(())
    }

    /// After the database has done what it was asked for.
    fn hear(&mut self) -> Result<(), DbError> {
        if self.sim.strikes(Fault::CrashAfterSql, self.actor) {
            self.died = true;
            return Err(DbError::Away(anyhow!("the process dies after the commit")));
        }
        if self.sim.strikes(Fault::SqlUnknown, self.actor) {
            return Err(DbError::Away(anyhow!("the answer to the commit is lost")));
        }
        Ok(())
    }
}

impl<'a> PaymentsDb for Connection<'a> {
    type Tx<'t>
        = Transaction<'t, 'a>
    where
        Self: 't;

    async fn claim_partitions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        self.reach()?;
        // Mutation: the former owner of a partition may still write for it.
        let raised = i64::from(!self.sim.has(Mutation::NoFencing));
        let claim = |place: &Place| {
            let fresh = Position { next_offset: 0, epoch: 0 };
            let position = self.sim.payments.offsets.entry(place.clone()).or_insert(fresh);
            position.epoch += raised;
            (place.clone(), *position)
        };
        let claimed = places.iter().map(claim).collect();
        self.sim.note(self.actor, None, || format!("claims {places:?}"));
        self.hear()?;
        Ok(claimed)
    }

    async fn begin(&mut self) -> Result<Transaction<'_, 'a>, DbError> {
        self.reach()?;
        let (changes, positions) = (ChangeSet::default(), BTreeMap::new());
        Ok(Transaction { connection: self, changes, positions })
    }

    async fn agenda(&mut self, now: Timestamp) -> Result<Agenda, DbError> {
        let payments = || self.sim.payments.payments.values();
        let due_at = payments().filter_map(|payment| payment.due_at).min();
        let deadline = payments().filter_map(|payment| payment.deadline(self.sim.now)).min();
        let due_in = due_at.map(|at| at - self.sim.now);
        Ok(Agenda { due_in, deadline_in: deadline.map(|at| at - now) })
    }

    async fn claim_due(
        &mut self,
        limit: usize,
        token: Uuid,
        lease: Duration,
    ) -> Result<Rows, DbError> {
        self.reach()?;
        let Sim { now, dice, payments, .. } = &mut *self.sim;
        // Some of them may be locked by another instance.
        let limit = dice.usize(1..=limit);
        let due = |payment: &&mut Payment| payment.due_at.is_some_and(|due_at| due_at <= *now);
        let mut good = BTreeMap::new();
        for payment in payments.payments.values_mut().filter(due).take(limit) {
            payment.due_at = Some(*now + lease);
            payment.lease = Some(token);
            payment.row.attempts += 1;
            good.insert(payment.row.payment.order.order_id, payment.row.clone());
        }
        if !good.is_empty() {
            self.hear()?;
        }
        Ok(Rows { good, unreadable: BTreeMap::new() })
    }

    async fn prune_outbox(&mut self, _: Duration, _: u32) -> Result<u64, DbError> {
        // No run is longer than the shortest time that a row is kept.
        Ok(0)
    }
}

/// A transaction: what it writes is seen from its commit on.
pub(crate) struct Transaction<'t, 'a> {
    connection: &'t mut Connection<'a>,
    changes: ChangeSet,
    positions: BTreeMap<Place, Position>,
}

impl Transaction<'_, '_> {
    fn database(&self) -> &Database {
        &self.connection.sim.payments
    }
}

impl PaymentsTx for Transaction<'_, '_> {
    async fn lock_positions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        let known = &self.database().offsets;
        let position = |place: &Place| Some((place.clone(), *known.get(place)?));
        Ok(places.iter().filter_map(position).collect())
    }

    async fn lock_payments(&mut self, orders: &[OrderId]) -> Result<Rows, DbError> {
        Ok(self.database().rows(orders))
    }

    async fn lock_claimed(&mut self, claims: &[(OrderId, Uuid)]) -> Result<Rows, DbError> {
        let known = &self.database().payments;
        let holds = |(order, token): &&(OrderId, Uuid)| {
            known.get(order).is_some_and(|payment| payment.lease == Some(*token))
        };
        let held = claims.iter().filter(holds).map(|(order, _)| order);
        Ok(self.database().rows(held))
    }

    async fn lock_expired(&mut self, now: Timestamp, limit: usize) -> Result<Rows, DbError> {
        let at = self.connection.sim.now;
        let has_expired = |(_, payment): &(&OrderId, &Payment)| {
            payment.deadline(at).is_some_and(|deadline| deadline <= now)
        };
        let expired = self.database().payments.iter().filter(has_expired);
        Ok(self.database().rows(expired.map(|(order, _)| order).take(limit)))
    }

    async fn write(&mut self, changes: ChangeSet) -> Result<(), DbError> {
        match self.database().refusal(&changes) {
            Some(refusal) => Err(DbError::Refused(anyhow!(refusal))),
            None => {
                self.changes = changes;
                Ok(())
            }
        }
    }

    async fn advance(&mut self, positions: &BTreeMap<Place, Position>) -> Result<usize, DbError> {
        let known = &self.database().offsets;
        let ours = positions.iter().filter(|(place, position)| {
            known.get(*place).is_some_and(|known| known.epoch == position.epoch)
        });
        let ours: BTreeMap<Place, Position> = ours.map(|(place, p)| (place.clone(), *p)).collect();
        let advanced = ours.len();
        self.positions = ours;
        Ok(advanced)
    }

    async fn commit(self) -> Result<(), DbError> {
        let Self { connection, changes, positions } = self;
        if connection.sim.strikes(Fault::CrashBeforeSql, connection.actor) {
            connection.died = true;
            return Err(DbError::Away(anyhow!("the process dies before the commit")));
        }
        let orders = changes.rows.iter().map(|row| row.payment.order.order_id);
        let orders: BTreeSet<OrderId> = orders.collect();
        let Sim { now, dice, payments, .. } = &mut *connection.sim;
        payments.apply(changes, *now, dice);
        payments.offsets.extend(positions);
        connection.sim.note(connection.actor, Some(orders), || "commits in Postgres".to_owned());
        connection.hear()
    }
}
