//! [`Measures`]: what orders tells of the orders. Counted is what is committed; how many are open,
//! and since when, is looked up in the store while scrapes ask for it.

use crate::adapters::store::OpenOrder;
use contracts::{
    Order, ServiceName, Status, Timestamp,
    metrics::{OLDEST_BATON, OLDEST_ORDER, OPEN_ORDERS, OVERDUE, TRANSITIONS},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use streams::{Meters, meter::Metric};

/// After a scrape the open orders are looked at for so long,
const LOOK_FOR: Duration = Duration::from_secs(5 * 60);
/// and so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The partitions of an instance are looked at within this time.
const ANSWERS_APART_MAX: Duration = Duration::from_secs(5);
/// What was seen longer ago may be wrong by now.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(2 * 60);

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
    /// Of the batch at hand: how often.
    pending: BTreeMap<(Status, &'static str), u64>,
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
        Self { meters, pending: BTreeMap::new(), open: Some(open) }
    }

    /// The log has this order, and had that one before.
    pub(crate) fn reached(&mut self, before: Option<&Order>, after: Option<&Order>) {
        let version = |order: Option<&Order>| order.map(|order| order.version);
        if let Some(order) = after.filter(|_| version(before) != version(after)) {
            *self.pending.entry((order.status, reason(order))).or_default() += 1;
        }
    }

    /// The batch is committed.
    pub(crate) fn committed(&mut self) {
        for ((status, reason), number) in std::mem::take(&mut self.pending) {
            self.meters.count(&TRANSITIONS, &[status.as_str(), reason], number);
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
        if let Some(open) = self.open.as_ref().filter(|open| open.wants(partition)) {
            open.saw(partition, Summary::of(&look()?, now));
        }
        Ok(())
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

/// The open orders as they were a moment ago. Clones share them.
#[derive(Clone, Default)]
struct OpenOrders(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// When they were asked for last; they are looked at once before.
    asked: Option<Instant>,
    answers: BTreeMap<i32, Answer>,
}

struct Answer {
    at: Instant,
    summary: Summary,
}

impl OpenOrders {
    /// Whether to look at `partition` now.
    fn wants(&self, partition: i32) -> bool {
        let seen = self.lock();
        let Some(answer) = seen.answers.get(&partition) else { return true };
        seen.asked.is_some_and(|asked| {
            asked > answer.at || asked.elapsed() < LOOK_FOR && answer.at.elapsed() >= LOOK_INTERVAL
        })
    }

    fn saw(&self, partition: i32, summary: Summary) {
        self.lock().answers.insert(partition, Answer { at: Instant::now(), summary });
    }

    /// What the partitions have said. One that says nothing any more is another instance's now; and
    /// if none does, nothing is known.
    fn now(&self) -> Option<Vec<Summary>> {
        let seen = self.lock();
        let newest = seen.answers.values().map(|answer| answer.at).max()?;
        let is_current = |answer: &&Answer| newest - answer.at < ANSWERS_APART_MAX;
        let current = seen.answers.values().filter(is_current);
        let current = current.map(|answer| answer.summary.clone()).collect();
        (newest.elapsed() < ANSWER_AGE_MAX).then_some(current)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(
        &self,
        meters: &Meters,
        metric: &'static Metric,
        tell: impl Fn(&[Summary], &mut dyn FnMut(&[&str], f64)) + Send + Sync + 'static,
    ) {
        let open = self.clone();
        meters.observe(metric, move |told| {
            open.lock().asked = Some(Instant::now());
            if let Some(summaries) = open.now() {
                tell(&summaries, told);
            }
        });
    }

    fn show(&self, meters: &Meters) {
        self.read(meters, &OPEN_ORDERS, |summaries, tell| {
            for status in Status::ALL.into_iter().filter(|status| !status.is_terminal()) {
                let of = |summary: &Summary| summary.by_status.get(&status).copied();
                tell(&[status.as_str()], number(summaries.iter().filter_map(of).sum()));
            }
        });
        self.read(meters, &OVERDUE, |summaries, tell| {
            tell(&[], number(summaries.iter().map(|summary| summary.overdue).sum()));
        });
        self.read(meters, &OLDEST_ORDER, |summaries, tell| {
            tell(&[], age(summaries.iter().filter_map(|summary| summary.oldest).min()));
        });
        self.read(meters, &OLDEST_BATON, |summaries, tell| {
            let holders = Status::ALL.into_iter().filter_map(Status::holder);
            for holder in holders.collect::<BTreeSet<_>>() {
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
