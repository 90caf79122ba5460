//! [`Tracked`]: the orders that this instance has accepted, and which step each waits for. Pure, as
//! the [`Gate`] that it tells.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    time::Duration,
};

use contracts::{
    Order, OrderId, Status,
    partition::{self, partition_for},
    topics::Key,
};

use super::gate::{Gate, Step};

/// An order that has not ended for so long says nothing of the load any more.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// Most orders that are tracked; the oldest ones make room.
const TRACKED_MAX: usize = 50_000;

/// The reason of an end that no step has brought about.
const DEADLINE: &str = "deadline";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    orders: HashMap<OrderId, Entry>,
    /// Those orders, oldest first, and some that have ended.
    by_age: VecDeque<(Duration, OrderId)>,
    /// Those whose command is in the log, by partition and in the order of their
    /// acknowledgements, until one after them is seen.
    in_log: HashMap<i32, VecDeque<(Duration, OrderId)>>,
}

#[derive(Debug)]
struct Entry {
    step: Step,
    since: Duration,
    /// When its command was sent.
    begun: Duration,
    version: i64,
}

impl Tracked {
    /// A command that places `order` is sent now; whether it is tracked from now on, which it is
    /// once.
    pub(super) fn begin(&mut self, order: OrderId, now: Duration, gate: &mut Gate) -> bool {
        self.forget_old(now, gate);
        let hash_map::Entry::Vacant(vacant) = self.orders.entry(order) else { return false };
        vacant.insert(Entry { step: Step::Shown, since: now, begun: now, version: 0 });
        self.by_age.push_back((now, order));
        gate.enters(Step::Shown);
        true
    }

    /// Its command is in the log.
    pub(super) fn acknowledged(&mut self, order: OrderId, now: Duration) {
        if self.waits_for(order, Step::Shown) {
            self.in_log.entry(partition(order)).or_default().push_back((now, order));
        }
    }

    /// Its command may not be in the log.
    pub(super) fn forget(&mut self, order: OrderId, gate: &mut Gate) {
        if let Some(entry) = self.orders.remove(&order) {
            gate.leaves(entry.step);
        }
    }

    /// The view shows `order`. The step that it has passed by that, and how long it had waited.
    pub(super) fn shown(
        &mut self,
        order: &Order,
        now: Duration,
        gate: &mut Gate,
    ) -> Option<(Step, Duration)> {
        let entry = self.orders.get_mut(&order.order_id)?;
        let next = waits_for(order.status);
        if order.version <= entry.version || next == Some(entry.step) {
            return None;
        }
        let (step, waited, begun) = (entry.step, now.saturating_sub(entry.since), entry.begun);
        entry.version = order.version;
        // What time has ended has passed nothing: its step may stand still.
        let is_overdue = is_overdue(order);
        match is_overdue {
            true => gate.leaves(step),
            false => gate.passes(step, waited, now),
        }
        match next {
            Some(next) => {
                (entry.step, entry.since) = (next, now);
                gate.enters(next);
            }
            None => drop(self.orders.remove(&order.order_id)),
        }
        if step == Step::Shown {
            self.forget_repeated(order.order_id, begun, gate);
        }
        (!is_overdue).then_some((step, waited))
    }

    /// A command about `order` was refused. The step that it has passed by that, and how long it
    /// had waited.
    pub(super) fn refused(
        &mut self,
        order: OrderId,
        now: Duration,
        gate: &mut Gate,
    ) -> Option<(Step, Duration)> {
        let entry = self.waits_for(order, Step::Shown).then(|| self.orders.remove(&order))??;
        let waited = now.saturating_sub(entry.since);
        gate.passes(Step::Shown, waited, now);
        self.forget_repeated(order, entry.begun, gate);
        Some((Step::Shown, waited))
    }

    fn waits_for(&self, order: OrderId, step: Step) -> bool {
        self.orders.get(&order).is_some_and(|entry| entry.step == step)
    }

    /// What was in the log before `order` was sent has been decided before it. So what has not been
    /// seen has caused nothing: it was a repeated command.
    fn forget_repeated(&mut self, order: OrderId, begun: Duration, gate: &mut Gate) {
        let Some(in_log) = self.in_log.get_mut(&partition(order)) else { return };
        while let Some((_, earlier)) = in_log.pop_front_if(|(at, _)| *at < begun) {
            if self.orders.get(&earlier).is_some_and(|entry| entry.step == Step::Shown) {
                self.orders.remove(&earlier);
                gate.leaves(Step::Shown);
            }
        }
    }

    fn forget_old(&mut self, now: Duration, gate: &mut Gate) {
        while let Some((begun, order)) = self.by_age.front().copied() {
            let entry = self.orders.get(&order).filter(|entry| entry.begun == begun);
            let is_old = begun + KEPT_FOR < now || self.by_age.len() >= TRACKED_MAX;
            match entry {
                Some(_) if !is_old => break,
                Some(_) => self.forget(order, gate),
                None => {}
            }
            self.by_age.pop_front();
        }
        for in_log in self.in_log.values_mut() {
            let is_old = |(at, order): &mut (Duration, OrderId)| {
                *at + KEPT_FOR < now || !self.orders.contains_key(order)
            };
            while in_log.pop_front_if(is_old).is_some() {}
        }
    }
}

/// What an order of this status waits for, if that says how busy the shop is: a refund waits for
/// the bank alone.
fn waits_for(status: Status) -> Option<Step> {
    match status {
        Status::Requested => Some(Step::Checked),
        Status::Validated => Some(Step::Paid),
        Status::Paid | Status::PaymentDeclined => Some(Step::Closed),
        Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::RefundDue
        | Status::Refunded => None,
    }
}

fn is_overdue(order: &Order) -> bool {
    order.reasons.last().is_some_and(|reason| reason.code == DEADLINE)
}

fn partition(order: OrderId) -> i32 {
    partition_for(&order.to_bytes(), partition::count())
}
