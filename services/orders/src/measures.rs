//! [`Measures`]: what orders tells of the orders. Counted is what is committed; how many are open,
//! and since when, is looked up in the store when a scrape has asked for it.

use crate::adapters::store::OpenOrder;
use contracts::{
    Order, ServiceName, Status, Timestamp,
    metrics::{OLDEST_BATON, OLDEST_ORDER, OPEN_ORDERS, OVERDUE, TRANSITIONS},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use streams::Meters;

/// The reasons that have a name of their own: those of this shop's services. A validator that joins
/// later, and the bank, may say what they like.
const REASONS: [&str; 8] = [
    "cancelled_by_customer",
    "deadline",
    "out_of_stock",
    "payment_declined",
    "released_before_reserved",
    "too_many_orders",
    "too_much_open_value",
    "voided",
];

/// What the processor measures; nothing, unless it was told to.
#[derive(Default)]
pub(crate) struct Measures {
    meters: Meters,
    /// Of the batch at hand.
    pending: Vec<(Status, &'static str)>,
    open: Option<OpenOrders>,
}

impl Measures {
    pub(crate) fn new(meters: Meters) -> Self {
        for status in Status::ALL {
            let reason = if is_way_out(status) { "other" } else { "" };
            meters.count(&TRANSITIONS, &[status.as_str(), reason], 0);
        }
        let open = OpenOrders::default();
        open.show(&meters);
        Self { meters, pending: Vec::new(), open: Some(open) }
    }

    /// The log has this order, and had that one before.
    pub(crate) fn reached(&mut self, before: Option<&Order>, after: Option<&Order>) {
        let version = |order: Option<&Order>| order.map(|order| order.version);
        if let Some(order) = after.filter(|_| version(before) != version(after)) {
            self.pending.push((order.status, reason(order)));
        }
    }

    /// The batch is committed.
    pub(crate) fn committed(&mut self) {
        for (status, reason) in self.pending.drain(..) {
            self.meters.count(&TRANSITIONS, &[status.as_str(), reason], 1);
        }
    }

    /// The batch comes again.
    pub(crate) fn reset(&mut self) {
        self.pending.clear();
    }

    /// Look at the open orders of `partition` now, if they were asked for.
    pub(crate) fn look<E>(
        &self,
        partition: i32,
        now: Timestamp,
        look: impl FnOnce() -> Result<Vec<OpenOrder>, E>,
    ) -> Result<(), E> {
        match self.open.as_ref().and_then(|open| Some((open, open.wanted(partition)?))) {
            Some((open, question)) => {
                open.saw(partition, question, Summary::of(&look()?, now));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Whether an order comes there for a reason.
fn is_way_out(status: Status) -> bool {
    match status {
        Status::Requested | Status::Validated | Status::Paid | Status::Confirmed => false,
        Status::PaymentDeclined
        | Status::RefundDue
        | Status::Rejected
        | Status::Cancelled
        | Status::Refunded => true,
    }
}

/// The last reason of `order`, as a label.
fn reason(order: &Order) -> &'static str {
    if !is_way_out(order.status) {
        return "";
    }
    let code = order.reasons.last().map(|reason| reason.code.as_str());
    REASONS.into_iter().find(|known| Some(*known) == code).unwrap_or("other")
}

/// What is to be said of the open orders of one partition.
#[derive(Debug, Default, Clone)]
struct Summary {
    by_status: BTreeMap<Status, u64>,
    oldest: Option<Timestamp>,
    batons: BTreeMap<ServiceName, Timestamp>,
    overdue: u64,
}

impl Summary {
    fn of(orders: &[OpenOrder], now: Timestamp) -> Self {
        let mut summary = Self::default();
        for order in orders {
            *summary.by_status.entry(order.status).or_default() += 1;
            let oldest = summary.oldest.get_or_insert(order.requested_at);
            *oldest = (*oldest).min(order.requested_at);
            if let Some(holder) = order.status.holder() {
                let since = summary.batons.entry(holder).or_insert(order.since);
                *since = (*since).min(order.since);
            }
            // A refund takes as long as the bank is away.
            let is_over = order.deadline < now && order.status != Status::RefundDue;
            summary.overdue += u64::from(is_over);
        }
        summary
    }
}

/// The open orders as they were at the last scrape but one. Clones share them.
#[derive(Clone, Default)]
struct OpenOrders(Arc<Seen>);

#[derive(Default)]
struct Seen {
    /// How often they were asked for.
    questions: AtomicU64,
    /// Per partition, with the question that it answers.
    answers: Mutex<BTreeMap<i32, (u64, Summary)>>,
}

impl OpenOrders {
    /// The question that `partition` has not answered yet; there is one from the start.
    fn wanted(&self, partition: i32) -> Option<u64> {
        let question = self.0.questions.load(Ordering::Relaxed) + 1;
        let answered = self.answers().get(&partition).map_or(0, |(answered, _)| *answered);
        (answered < question).then_some(question)
    }

    fn saw(&self, partition: i32, question: u64, summary: Summary) {
        self.answers().insert(partition, (question, summary));
    }

    /// What the partitions have said. One that does not answer any more is another instance's now.
    fn now(&self) -> Vec<Summary> {
        let answers = self.answers();
        let last = answers.values().map(|(question, _)| *question).max().unwrap_or(0);
        let current = answers.values().filter(|(question, _)| question + 1 >= last);
        current.map(|(_, summary)| summary.clone()).collect()
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, (u64, Summary)>> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, meters: &Meters) {
        let open = self.clone();
        meters.observe(&OPEN_ORDERS, move |tell| {
            let summaries = open.now();
            open.0.questions.fetch_add(1, Ordering::Relaxed);
            for status in Status::ALL.into_iter().filter(|status| !status.is_terminal()) {
                let of = |summary: &Summary| summary.by_status.get(&status).copied();
                tell(&[status.as_str()], number(summaries.iter().filter_map(of).sum()));
            }
        });
        let open = self.clone();
        meters.observe(&OVERDUE, move |tell| {
            tell(&[], number(open.now().iter().map(|summary| summary.overdue).sum()));
        });
        let open = self.clone();
        meters.observe(&OLDEST_ORDER, move |tell| {
            tell(&[], age(open.now().iter().filter_map(|summary| summary.oldest).min()));
        });
        let open = self.clone();
        meters.observe(&OLDEST_BATON, move |tell| {
            let summaries = open.now();
            let holders = Status::ALL.into_iter().filter_map(Status::holder);
            for holder in holders.collect::<std::collections::BTreeSet<_>>() {
                let of = |summary: &Summary| summary.batons.get(&holder).copied();
                tell(&[holder.as_str()], age(summaries.iter().filter_map(of).min()));
            }
        });
    }
}

/// How long ago that was, by the log's clock: it grows also while no scrape is answered.
fn age(since: Option<Timestamp>) -> f64 {
    since.map_or(0.0, |since| (Timestamp::now() - since).as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(n: u64) -> f64 {
    n as f64
}
