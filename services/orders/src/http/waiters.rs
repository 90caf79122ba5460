//! Who waits for the outcome of which command.
//!
//! Every instance follows `order-views` and `orders.refusals` whole, so it does not matter which
//! one took the request and which one decides. A waiter is registered before its command is sent,
//! so no answer can pass it by; it is gone when its request is.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contracts::{
    CommandId, Order, OrderId, Status,
    orders::CommandRefused,
    topics::{ORDER_REFUSALS, ORDER_VIEWS},
};
use service_kit::Shutdown;
use streams::{Codec, Failure, Record};
use streams_kafka::{LoopHandle, spawn_tail};
use tokio::sync::oneshot;

use crate::topology;

/// Settled orders that are remembered, so that a request which is repeated after its outcome is
/// answered at once instead of waiting for news that has been.
const SETTLED_MAX: usize = 1000;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The order has ended, and the view shows it.
    Settled(Box<Order>),
    /// The command was refused.
    Refused(CommandRefused),
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The end of the order that its command has placed, whatever it is.
    Placed,
    /// The order's cancellation.
    Cancelled,
}

/// There are as many waiters as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The waiters of this instance. Clones share them.
#[derive(Clone)]
pub struct Waiters {
    limit: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last_ticket: u64,
    count: usize,
    waiting: HashMap<OrderId, Vec<Waiter>>,
    settled: HashMap<OrderId, Order>,
    /// The keys of `settled`, oldest first.
    settled_order: VecDeque<OrderId>,
}

struct Waiter {
    ticket: u64,
    command_id: CommandId,
    goal: Goal,
    answer: oneshot::Sender<Outcome>,
}

/// A place among the waiters; dropping it gives the place up.
pub struct Ticket {
    state: Arc<Mutex<State>>,
    order_id: OrderId,
    number: u64,
    answer: oneshot::Receiver<Outcome>,
}

impl Waiters {
    /// Nobody waits; `limit` may.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Arc::default() }
    }

    /// Hear what happens from now on, until `shutdown`.
    pub fn follow(&self, bootstrap: &str, codec: Codec, shutdown: Shutdown) -> LoopHandle {
        let waiters = self.clone();
        let topics = topology::WAITED_FOR.to_vec();
        spawn_tail(bootstrap, "orders-waiters", topics, shutdown, move |record| {
            if let Err(failure) = waiters.hear(&codec, &record) {
                // Whoever waits for it waits in vain, and is told where to look.
                tracing::warn!(record = record.address(), "not understood: {failure}");
            }
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
        let mut state = lock(&self.state);
        if state.count >= self.limit {
            return Err(Full);
        }
        state.count += 1;
        state.last_ticket += 1;
        let number = state.last_ticket;
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { ticket: number, command_id, goal, answer: sender };
        state.waiting.entry(order_id).or_default().push(waiter);
        // A cancellation is a new command, and wants an answer of its own.
        if goal == Goal::Placed
            && let Some(order) = state.settled.get(&order_id).cloned()
        {
            state.answer(order_id, &Outcome::Settled(Box::new(order)));
        }
        drop(state);
        Ok(Ticket { state: Arc::clone(&self.state), order_id, number, answer })
    }

    /// The view shows `order`.
    pub fn on_view(&self, order: Order) {
        if order.status.is_terminal() {
            let mut state = lock(&self.state);
            state.answer(order.order_id, &Outcome::Settled(Box::new(order.clone())));
            state.remember(order);
        }
    }

    /// A command was refused.
    pub fn on_refusal(&self, refusal: CommandRefused) {
        lock(&self.state).answer(refusal.order_id, &Outcome::Refused(refusal));
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        lock(&self.state).count
    }

    fn hear(&self, codec: &Codec, record: &Record) -> Result<(), Failure> {
        let value = record.value.as_deref();
        let value = value.ok_or_else(|| Failure::poison("the record has no value"))?;
        if record.is_on(&ORDER_VIEWS) {
            self.on_view(codec.decode(&ORDER_VIEWS, value)?.order);
        } else {
            self.on_refusal(codec.decode(&ORDER_REFUSALS, value)?);
        }
        Ok(())
    }
}

impl State {
    fn answer(&mut self, order_id: OrderId, outcome: &Outcome) {
        let Some(waiters) = self.waiting.remove(&order_id) else { return };
        let (answered, waiting): (Vec<_>, Vec<_>) =
            waiters.into_iter().partition(|waiter| waiter.is_answered_by(outcome));
        if !waiting.is_empty() {
            self.waiting.insert(order_id, waiting);
        }
        self.count -= answered.len();
        for waiter in answered {
            // Its request may have ended in this moment.
            let _ = waiter.answer.send(outcome.clone());
        }
    }

    fn remember(&mut self, order: Order) {
        let order_id = order.order_id;
        if self.settled.insert(order_id, order).is_none() {
            self.settled_order.push_back(order_id);
        }
        if self.settled_order.len() > SETTLED_MAX
            && let Some(oldest) = self.settled_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    fn give_up(&mut self, order_id: OrderId, ticket: u64) {
        let Some(waiters) = self.waiting.get_mut(&order_id) else { return };
        let before = waiters.len();
        waiters.retain(|waiter| waiter.ticket != ticket);
        self.count -= before - waiters.len();
        if waiters.is_empty() {
            self.waiting.remove(&order_id);
        }
    }
}

impl Waiter {
    fn is_answered_by(&self, outcome: &Outcome) -> bool {
        match (self.goal, outcome) {
            (_, Outcome::Refused(refusal)) => refusal.command_id == self.command_id,
            // Under a key that is used twice the order is another command's.
            (Goal::Placed, Outcome::Settled(order)) => order.placed_by == self.command_id,
            // An order that ended in another way has its cancellation refused, as every accepted
            // one is kept.
            (Goal::Cancelled, Outcome::Settled(order)) => {
                matches!(order.status, Status::Cancelled | Status::Refunded)
            }
        }
    }
}

impl Ticket {
    /// Wait for the outcome.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.state).give_up(self.order_id, self.number);
    }
}

/// No code that holds the lock panics halfway through a change.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
