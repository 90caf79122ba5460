//! The requests that wait for the outcome of a command.
//!
//! Every instance follows all of `order-views` and `orders.refusals`, so any instance may take the
//! request and any may decide. A request registers before it sends its command, so it misses no
//! answer; it leaves with its connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use contracts::{
    CommandId, CustomerId, Order, OrderId, Status,
    orders::CommandRefused,
    story,
    topics::{ORDER_REFUSALS, ORDER_VIEWS},
};
use parking_lot::Mutex;
use service_kit::{Shutdown, Waiter, waiters::Full};
use streams::{Codec, Failure, Record, lineage::Cause};
use streams_kafka::{ThreadHandle, spawn_tail};

use super::admission::Admission;
use crate::topology;

/// Settled orders that are remembered, so that a request which is repeated after its outcome is
/// answered at once instead of waiting for news that has been.
const SETTLED_MAX: usize = 1000;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The order has ended, and the view shows it.
    Settled(Box<Order>),
    /// The order is on its way, and the view shows it.
    Shown(Box<Order>),
    /// The command was refused.
    Refused(CommandRefused),
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// That its command was decided: the order that it has placed shows, or it was refused.
    Decided,
    /// The end of the order that its command has placed, whatever it is.
    Placed,
    /// The order's cancellation.
    Cancelled,
}

/// The waiters of this instance. Clones share them.
#[derive(Clone)]
pub struct Waiters {
    waiting: service_kit::Waiters<OrderId, Outcome>,
    limit: usize,
    settled: Arc<Mutex<Settled>>,
}

#[derive(Default)]
struct Settled {
    orders: HashMap<OrderId, Order>,
    /// The keys of `orders`, oldest first.
    ids: VecDeque<OrderId>,
}

/// A place among the waiters; dropping it gives the place up.
pub struct Ticket {
    /// What has been before it came.
    known: Option<Outcome>,
    waiter: Waiter<OrderId, Outcome>,
}

impl Waiters {
    /// None waits; `limit` may.
    pub fn new(limit: usize) -> Self {
        Self { waiting: service_kit::Waiters::new(limit), limit, settled: Arc::default() }
    }

    /// Hear what happens from now on, until `shutdown`; `admission` hears it, too.
    pub fn follow(
        &self,
        bootstrap: &str,
        codec: Codec,
        admission: Admission,
        shutdown: Shutdown,
    ) -> ThreadHandle {
        let waiters = self.clone();
        let topics = topology::WAITED_FOR.to_vec();
        spawn_tail(bootstrap, "orders-waiters", topics, shutdown, move |record| {
            let heard = waiters.hear(&codec, record, &admission);
            if let Err(Failure::Poison(cause)) = &heard {
                // A request that waits for it waits in vain; its answer says where to look.
                let _story = story::span(&Cause::of(record), Some(record)).entered();
                tracing::warn!(record = record.address(), "not understood: {cause}");
            }
            heard
        })
    }

    /// Register a waiter for what becomes of `command_id`.
    ///
    /// # Errors
    /// [`Full`]: come again later.
    pub fn register(
        &self,
        order_id: OrderId,
        command_id: CommandId,
        goal: Goal,
    ) -> Result<Ticket, Full> {
        self.register_for(None, order_id, command_id, goal)
    }

    /// The same for `customer`, who hears of no order of another one.
    ///
    /// # Errors
    /// [`Full`]: come again later.
    pub fn register_for(
        &self,
        customer: Option<CustomerId>,
        order_id: OrderId,
        command_id: CommandId,
        goal: Goal,
    ) -> Result<Ticket, Full> {
        let is_answered = move |outcome: &Outcome| {
            is_answered(goal, command_id, outcome)
                && customer.as_ref().is_none_or(|customer| may_hear(customer, outcome))
        };
        let waiter = self.waiting.register(order_id, is_answered.clone())?;
        // A cancellation is a new command, and wants an answer of its own.
        let known = (goal != Goal::Cancelled).then(|| self.settled(order_id)).flatten();
        Ok(Ticket { known: known.filter(is_answered), waiter })
    }

    /// Register a waiter for the decision on `command_id`, if there is room: half of the
    /// places is for clients that have asked for an outcome.
    pub fn register_decision(&self, order_id: OrderId, command_id: CommandId) -> Option<Ticket> {
        let has_room = self.count() < self.limit.div_ceil(2);
        has_room.then(|| self.register(order_id, command_id, Goal::Decided).ok()).flatten()
    }

    /// The view shows `order`.
    pub fn on_view(&self, order: Order) {
        let order_id = order.order_id;
        let outcome = if order.status.is_terminal() {
            // In this order: a request that registers in between hears of it twice rather than
            // never.
            self.settled.lock().remember(order.clone());
            Outcome::Settled(Box::new(order))
        } else {
            Outcome::Shown(Box::new(order))
        };
        self.waiting.tell(order_id, &outcome);
    }

    /// A command was refused.
    pub fn on_refusal(&self, refusal: CommandRefused) {
        self.waiting.tell(refusal.order_id, &Outcome::Refused(refusal));
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    fn settled(&self, order_id: OrderId) -> Option<Outcome> {
        self.settled.lock().orders.get(&order_id).cloned().map(Box::new).map(Outcome::Settled)
    }

    fn hear(&self, codec: &Codec, record: &Record, admission: &Admission) -> Result<(), Failure> {
        let value = record.value.as_deref();
        let value = value.ok_or_else(|| Failure::poison("the record has no value"))?;
        if record.is_on(&ORDER_VIEWS) {
            let order = codec.decode(&ORDER_VIEWS, value)?.order;
            admission.on_view(&order);
            self.on_view(order);
        } else {
            let refusal = codec.decode(&ORDER_REFUSALS, value)?;
            admission.on_refusal(&refusal);
            self.on_refusal(refusal);
        }
        Ok(())
    }
}

impl Settled {
    fn remember(&mut self, order: Order) {
        let order_id = order.order_id;
        if self.orders.insert(order_id, order).is_none() {
            self.ids.push_back(order_id);
        }
        if self.ids.len() > SETTLED_MAX
            && let Some(oldest) = self.ids.pop_front()
        {
            self.orders.remove(&oldest);
        }
    }
}

fn is_answered(goal: Goal, command_id: CommandId, outcome: &Outcome) -> bool {
    match (goal, outcome) {
        (_, Outcome::Refused(refusal)) => refusal.command_id == command_id,
        // Under a key that is used twice the order is another command's.
        (Goal::Decided, Outcome::Shown(order) | Outcome::Settled(order))
        | (Goal::Placed, Outcome::Settled(order)) => order.placed_by == command_id,
        (Goal::Placed | Goal::Cancelled, Outcome::Shown(_)) => false,
        // An order that ended in another way has its cancellation refused, as every accepted one is
        // kept.
        (Goal::Cancelled, Outcome::Settled(order)) => {
            matches!(order.status, Status::Cancelled | Status::Refunded)
        }
    }
}

fn may_hear(customer: &CustomerId, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Settled(order) | Outcome::Shown(order) => order.customer.customer_id == *customer,
        // It answers a command of theirs.
        Outcome::Refused(_) => true,
    }
}

impl Ticket {
    /// Wait for the outcome.
    pub async fn outcome(&mut self) -> Outcome {
        match self.known.take() {
            Some(outcome) => outcome,
            None => self.waiter.news().await,
        }
    }
}
