//! The database of payments: its tables, with the constraints of the migration. A transaction is
//! one step, as `FOR UPDATE` makes it.

use contracts::{OrderId, Timestamp};
use fastrand::Rng;
use payments::{
    domain::Status,
    store::{
        changes::{Gathered, LedgerEntry},
        offsets::{Place, Position},
        outbox::OutboxRow,
        payments::Row,
    },
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
    lease: Option<u64>,
    pub(crate) updated_at: Timestamp,
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
    pub(crate) offsets: BTreeMap<Place, Position>,
}

impl Database {
    /// Take partitions over: raise their epochs.
    pub(crate) fn claim(&mut self, places: &[Place]) -> BTreeMap<Place, Position> {
        let claim = |place: &Place| {
            let fresh = Position { next_offset: 0, epoch: 0 };
            let position = self.offsets.entry(place.clone()).or_insert(fresh);
            position.epoch += 1;
            (place.clone(), *position)
        };
        places.iter().map(claim).collect()
    }

    /// The rows of these orders that exist.
    pub(crate) fn rows(&self, orders: &[OrderId]) -> BTreeMap<OrderId, Row> {
        let row = |order: &OrderId| Some((*order, self.payments.get(order)?.row.clone()));
        orders.iter().filter_map(row).collect()
    }

    /// The same for rows that are claimed with these leases.
    pub(crate) fn claimed(&self, claims: &[(OrderId, u64)]) -> BTreeMap<OrderId, Row> {
        let row = |(order, lease): &(OrderId, u64)| {
            let payment = self.payments.get(order).filter(|known| known.lease == Some(*lease))?;
            Some((*order, payment.row.clone()))
        };
        claims.iter().filter_map(row).collect()
    }

    /// The rows whose deadline has passed while their outcome is unknown.
    pub(crate) fn expired(&self, now: Timestamp) -> BTreeMap<OrderId, Row> {
        let expired = self.payments.iter().filter(|(_, payment)| {
            let known = &payment.row.payment;
            known.status == Status::Intent && known.order.deadline <= now
        });
        expired.map(|(order, payment)| (*order, payment.row.clone())).collect()
    }

    /// Claim up to `limit` rows that are due, with `lease`, for this long.
    pub(crate) fn claim_due(
        &mut self,
        now: Timestamp,
        limit: usize,
        lease: u64,
        duration: Duration,
    ) -> Vec<Row> {
        let due = |payment: &&mut Payment| payment.due_at.is_some_and(|due_at| due_at <= now);
        let mut claimed = Vec::new();
        for payment in self.payments.values_mut().filter(due).take(limit) {
            payment.due_at = Some(now + duration);
            payment.lease = Some(lease);
            payment.row.attempts += 1;
            claimed.push(payment.row.clone());
        }
        claimed
    }

    /// Write what was gathered.
    ///
    /// # Errors
    /// The constraint that holds; nothing is written then.
    pub(crate) fn write(
        &mut self,
        gathered: Gathered,
        now: Timestamp,
        dice: &mut Rng,
    ) -> Result<(), String> {
        let Gathered { rows, entries, outbox, aside } = gathered;
        assert!(aside.is_empty(), "every payment of a simulation can be decided: {aside:?}");
        if let Some(row) = outbox.iter().find(|row| self.said.contains(&row.id())) {
            return Err(format!("outbox: {} was said before", row.id()));
        }
        let key =
            |entry: &LedgerEntry| (entry.order_id, entry.kind.as_str(), entry.account.as_str());
        if let Some(entry) = entries.iter().find(|entry| self.booked.contains(&key(entry))) {
            return Err(format!("ledger_entries: {:?} was booked before", key(entry)));
        }
        for row in rows {
            let order_id = row.payment.order.order_id;
            // Half of the wait to all of it, at random.
            let mut wait = |wait: Duration| wait.mul_f64(0.5 + dice.f64() / 2.0);
            let due_at = row.due_in.map(|due_in| now + wait(due_in));
            let row = Row { due_in: None, ..row };
            self.payments.insert(order_id, Payment { row, due_at, lease: None, updated_at: now });
        }
        self.booked.extend(entries.iter().map(key));
        self.ledger.extend(entries);
        self.said.extend(outbox.iter().map(OutboxRow::id));
        self.outbox.extend(outbox);
        Ok(())
    }
}
