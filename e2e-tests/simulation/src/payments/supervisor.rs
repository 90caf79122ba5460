//! The supervisor of payments: sees to it that every payment comes to its end. Compare
//! `services/payments/src/supervisor.rs`.

use crate::{
    faults::Fault,
    outside::bank::Call,
    read::short,
    sim::{Actor, Progress, Sim},
};
use contracts::{OrderId, Timestamp};
use payments::{
    domain::{Input, Task},
    store::changes::Changes,
};
use std::{collections::BTreeSet, time::Duration};

/// Longest wait for the bank, as the service has it by default.
pub(crate) const BANK_TIMEOUT: Duration = Duration::from_millis(2_000);

/// How much longer a claim holds.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

/// Most calls at a time.
const CALLS_MAX: usize = 32;

const BACKOFF: Duration = Duration::from_millis(50);

/// What a call to the bank gave.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) order_id: OrderId,
    pub(crate) lease: u64,
    pub(crate) input: Input,
    pub(crate) at: Timestamp,
}

/// One instance's supervisor.
pub(crate) struct Supervisor {
    name: String,
    /// Which life this is: answers to a former one are lost.
    life: u64,
    calls: usize,
    results: Vec<Called>,
    wait_until: Timestamp,
}

impl Supervisor {
    pub(crate) fn new(sim: &mut Sim, instance: u32) -> Self {
        let (life, results) = (sim.bank.caller(), Vec::new());
        let name = format!("supervisor-{instance}");
        Self { name, life, calls: 0, results, wait_until: Timestamp::default() }
    }

    /// One transaction for what the bank has answered and for what has expired.
    fn write(&mut self, sim: &mut Sim, expire: bool) -> Progress {
        if sim.strikes(Fault::CrashBeforeSql, &self.name) {
            return Progress::Died;
        }
        if sim.strikes(Fault::SqlAway, &self.name) {
            self.wait_until = sim.now + BACKOFF;
            return Progress::Moved;
        }
        let rows = match expire {
            true => sim.payments.expired(sim.now),
            false => {
                let claims = self.results.iter().map(|called| (called.order_id, called.lease));
                sim.payments.claimed(&claims.collect::<Vec<_>>())
            }
        };
        let orders: BTreeSet<OrderId> = rows.keys().copied().collect();
        let mut changes = Changes::new(&sim.codec, rows);
        if expire {
            for order_id in &orders {
                let decided = changes.decide(*order_id, Input::DeadlinePassed, None, sim.now);
                decided.expect("what has expired can be declined");
            }
        } else {
            for Called { order_id, input, at, .. } in self.results.iter().cloned() {
                changes.settle(order_id, input, at).expect("a registry in memory answers");
            }
        }
        if let Err(refused) = sim.payments.write(changes.gathered(), sim.now, &mut sim.dice) {
            // As a single result that the database refuses: it is left out.
            sim.note(&self.name, Some(orders), || format!("the database refuses: {refused}"));
            self.results.clear();
            return Progress::Moved;
        }
        let what = if expire { "declines what has expired" } else { "writes the bank's answers" };
        sim.note(&self.name, Some(orders), || what.to_owned());
        if sim.strikes(Fault::CrashAfterSql, &self.name) {
            return Progress::Died;
        }
        if sim.strikes(Fault::SqlUnknown, &self.name) {
            self.wait_until = sim.now + BACKOFF;
        } else if !expire {
            self.results.clear();
        }
        Progress::Moved
    }

    fn start_calls(&mut self, sim: &mut Sim, free: usize) -> Progress {
        let (lease, duration) = (sim.dice.u64(..), BANK_TIMEOUT + LEASE_MARGIN);
        let limit = sim.dice.usize(1..=free);
        let rows = sim.payments.claim_due(sim.now, limit, lease, duration);
        if rows.is_empty() {
            return Progress::Idle;
        }
        if sim.strikes(Fault::CrashAfterSql, &self.name) {
            return Progress::Died;
        }
        for row in rows {
            let Some(task) = row.payment.task() else { continue };
            let order = &row.payment.order;
            let timeout = match task {
                Task::Charge => BANK_TIMEOUT.min(order.deadline - sim.now),
                Task::Void | Task::Refund => BANK_TIMEOUT,
            };
            let order_id = order.order_id;
            if timeout.is_zero() {
                let (input, at) = (Input::DeadlinePassed, sim.now);
                self.results.push(Called { order_id, lease, input, at });
                continue;
            }
            let attempt = row.attempts;
            sim.note(&self.name, Some(BTreeSet::from([order_id])), || {
                format!("calls the bank: {task:?} {}, attempt {attempt}", short(order_id))
            });
            self.calls += 1;
            let order = order.clone();
            Call { caller: self.life, lease, task, order, gives_up_at: sim.now + timeout }
                .make(sim);
        }
        Progress::Moved
    }
}

impl Actor for Supervisor {
    fn step(&mut self, sim: &mut Sim) -> Progress {
        if sim.now < self.wait_until {
            return Progress::Idle;
        }
        let answered = sim.bank.answers(self.life);
        self.calls = self.calls.saturating_sub(answered.len());
        self.results.extend(answered);
        if !self.results.is_empty() {
            return self.write(sim, false);
        }
        if !sim.payments.expired(sim.now).is_empty() {
            return self.write(sim, true);
        }
        match CALLS_MAX.saturating_sub(self.calls) {
            0 => Progress::Idle,
            free => self.start_calls(sim, free),
        }
    }

    fn die(&mut self, _: &Sim, _: bool) {
        // Whoever answers this life finds nobody.
        self.life = self.life.wrapping_add(1 << 32);
        self.calls = 0;
        self.results.clear();
        self.wait_until = Timestamp::default();
    }
}
