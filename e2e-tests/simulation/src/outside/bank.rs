//! The bank behind a bad line. What it decides is the bank simulator's own ledger.

use crate::{
    faults,
    read::{about, short},
};
use auditor::{BankEntry, Booking};
use bank_simulator::ledger::{EntryKind, Filter, Ledger, Rules};
use contracts::{Money, OrderId, Timestamp};
use payments::{
    domain::{Input, Task},
    supervisor::{Call, Called},
};
use std::{collections::BTreeMap, time::Duration};
use streams_sim::{Progress, Sim};

/// A call on its way.
struct Line {
    caller: u64,
    call: Call,
    /// How far what the caller takes for the time is ahead.
    ahead_ms: i64,
    gives_up_at: Timestamp,
    /// When the bank hears of it, if it ever does.
    arrives_at: Option<Timestamp>,
    /// How long the answer takes, if it comes back.
    answer_takes: Option<Duration>,
    /// What the bank has said, and when the caller hears it.
    answer: Option<(Input, Timestamp)>,
    /// The caller has an answer, or none by its timeout.
    over: bool,
}

/// The bank, and the lines to it.
pub(crate) struct Bank {
    ledger: Ledger,
    rules: Rules,
    lines: Vec<Line>,
    answers: BTreeMap<u64, Vec<Called>>,
    callers: u64,
    /// Mutation: no request is known from an earlier one.
    pub(crate) keyless: bool,
    /// The next charge is declined, for every customer.
    pub(crate) declines_next: bool,
    /// How often each order was charged, if so.
    charges: BTreeMap<OrderId, usize>,
}

impl Bank {
    /// A bank that declines this customer, and amounts that end in .13.
    pub(crate) fn new(declined: &str) -> Self {
        let declined_customers = vec![declined.to_owned()];
        let rules = Rules { declined_customers, decline_amount_ending_minor: Some(13) };
        Self {
            ledger: Ledger::default(),
            rules,
            lines: Vec::new(),
            answers: BTreeMap::new(),
            callers: 0,
            keyless: false,
            declines_next: false,
            charges: BTreeMap::new(),
        }
    }

    /// A new caller.
    pub(crate) fn caller(&mut self) -> u64 {
        self.callers += 1;
        self.callers
    }

    /// The answers to `caller` since its last call.
    pub(crate) fn answers(&mut self, caller: u64) -> Vec<Called> {
        self.answers.remove(&caller).unwrap_or_default()
    }

    fn handle(&mut self, call: &Call, now: Timestamp) -> Input {
        let (task, order) = (call.task, &call.payment.order);
        let mut key = order.order_id.to_string();
        if self.keyless {
            // Each charge is a new one; what undoes a charge is about the last.
            let charges = self.charges.entry(order.order_id).or_insert(0);
            *charges += usize::from(task == Task::Charge);
            key = format!("{key}#{charges}");
        }
        if task == Task::Charge && std::mem::take(&mut self.declines_next) {
            let mut strict = self.rules.clone();
            strict.declined_customers.push(order.customer.customer_id.to_string());
            return teller::ask(&mut self.ledger, &strict, key, call, now);
        }
        teller::ask(&mut self.ledger, &self.rules, key, call, now)
    }

    /// The statement, for the auditor.
    pub(crate) fn statement(&self) -> Vec<BankEntry> {
        let statement = self.ledger.statement(&Filter { limit: usize::MAX, ..Filter::default() });
        let entry = |entry: bank_simulator::ledger::Entry| BankEntry {
            key: entry.key.split('#').next().unwrap_or_default().to_owned(),
            kind: match entry.kind {
                EntryKind::Capture => Booking::Capture,
                EntryKind::Void => Booking::Void,
                EntryKind::Refund => Booking::Refund,
            },
            amount: Money::new(
                entry.amount_minor,
                entry.currency.parse().expect("as it was charged"),
            ),
            customer: entry.customer,
            charge_id: entry.charge_id,
            at: Timestamp(i64::try_from(entry.at).unwrap_or(i64::MAX)),
        };
        statement.entries.into_iter().map(entry).collect()
    }

    /// Put the call of a `caller` on the line, with what happens to it there.
    pub(crate) fn call(&mut self, sim: &mut Sim, actor: &str, caller: u64, call: Call) {
        let (task, order_id, attempt) = (call.task, call.order_id(), call.attempt);
        let Some(timeout) = call.timeout(sim.here) else {
            let called = call.over(Input::DeadlinePassed, sim.here);
            self.answers.entry(caller).or_default().push(called);
            return;
        };
        sim.note(actor, about([order_id]), || {
            format!("calls the bank: {task:?} {}, attempt {attempt}", short(order_id))
        });
        let latency = |sim: &mut Sim| Duration::from_millis(sim.dice.u64(1..=200));
        let lost = sim.strikes(faults::BANK_REQUEST_LOST, "bank");
        let late = sim.strikes(faults::BANK_LATE, "bank");
        let answer_lost = sim.strikes(faults::BANK_ANSWER_LOST, "bank");
        let arrives_after = match late {
            true => Duration::from_millis(sim.dice.u64(2_000..=20_000)),
            false => latency(sim),
        };
        let arrives_at = (!lost).then_some(sim.now + arrives_after);
        let answer_takes = (!answer_lost).then(|| latency(sim));
        let (gives_up_at, answer, over) = (sim.now + timeout, None, false);
        let ahead_ms = sim.here.millis() - sim.now.millis();
        let line =
            Line { caller, call, ahead_ms, gives_up_at, arrives_at, answer_takes, answer, over };
        self.lines.push(line);
    }

    /// Let the lines move on.
    pub(crate) fn step(&mut self, sim: &mut Sim) -> Progress {
        let lines = std::mem::take(&mut self.lines);
        let mut moved = false;
        for mut line in lines {
            moved |= self.advance(sim, &mut line);
            if !line.over || line.arrives_at.is_some() {
                self.lines.push(line);
            }
        }
        // A call that is on its way is work.
        if moved || !self.lines.is_empty() { Progress::Moved } else { Progress::Idle }
    }

    fn advance(&mut self, sim: &mut Sim, line: &mut Line) -> bool {
        let mut moved = false;
        if let Some(arrives_at) = line.arrives_at.take_if(|at| *at <= sim.now) {
            moved = true;
            let orders = about([line.call.order_id()]);
            let input = match sim.strikes(faults::BANK_ERROR, "bank") {
                true => Input::BankUnknown("the bank answered 503".into()),
                false => self.handle(&line.call, arrives_at),
            };
            let (task, order) = (line.call.task, short(line.call.order_id()));
            sim.note("bank", orders, || format!("{task:?} {order}: {input:?}"));
            line.answer = line.answer_takes.map(|takes| (input, arrives_at + takes));
        }
        if line.over {
            return moved;
        }
        let answer = line.answer.take_if(|(_, at)| *at <= sim.now.min(line.gives_up_at));
        let (input, at) = match answer {
            Some(answer) => answer,
            None if sim.now >= line.gives_up_at => {
                (Input::BankUnknown("the bank has not answered in time".into()), sim.now)
            }
            None => return moved,
        };
        line.over = true;
        let at = Timestamp(at.millis() + line.ahead_ms);
        let called = line.call.over(input, at);
        self.answers.entry(line.caller).or_default().push(called);
        true
    }
}
