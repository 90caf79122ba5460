//! [`Waiters`]: the readers that wait for an order to change.

use contracts::OrderId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Everyone who waits in this instance, `max` at most. Clones share them.
#[derive(Debug, Clone)]
pub struct Waiters {
    max: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_order: BTreeMap<(OrderId, u64), Arc<Notify>>,
}

/// One who waits. Dropping it, as a disconnect does, takes it off the list.
///
/// Register, then look, then wait: a change after the look is kept until it is waited for, so that
/// no wake-up is lost.
#[derive(Debug)]
pub struct Waiter {
    key: (OrderId, u64),
    changed: Arc<Notify>,
    waiting: Arc<Mutex<Waiting>>,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} readers are waiting, which is as many as may")]
pub struct Full(pub usize);

impl Waiters {
    /// Nobody yet.
    pub fn new(max: usize) -> Self {
        Self { max, waiting: Arc::default() }
    }

    /// Wait for `order_id` from now on.
    ///
    /// # Errors
    /// [`Full`]: come back later.
    pub fn register(&self, order_id: OrderId) -> Result<Waiter, Full> {
        let mut waiting = lock(&self.waiting);
        if waiting.by_order.len() >= self.max {
            return Err(Full(self.max));
        }
        let key = (order_id, waiting.next);
        waiting.next += 1;
        let changed = Arc::new(Notify::new());
        waiting.by_order.insert(key, Arc::clone(&changed));
        Ok(Waiter { key, changed, waiting: Arc::clone(&self.waiting) })
    }

    /// `order_id` has changed.
    pub fn wake(&self, order_id: OrderId) {
        let waiting = lock(&self.waiting);
        for (_, changed) in waiting.by_order.range((order_id, 0)..=(order_id, u64::MAX)) {
            changed.notify_one();
        }
    }

    /// Any order may have changed.
    pub fn wake_all(&self) {
        lock(&self.waiting).by_order.values().for_each(|changed| changed.notify_one());
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        lock(&self.waiting).by_order.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Waiter {
    /// Until the order may have changed since the last call, or since the registration.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(&self.waiting).by_order.remove(&self.key);
    }
}

/// A panic cannot leave the map half changed, so a poisoned lock is still good.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use uuid::Uuid;

    fn order(n: u128) -> OrderId {
        OrderId(Uuid::from_u128(n))
    }

    #[test]
    fn a_change_between_look_and_wait_is_not_lost() {
        let waiters = Waiters::new(10);
        let (one, other) = (waiters.register(order(1)), waiters.register(order(2)));
        let (one, other) = (one.unwrap(), other.unwrap());
        waiters.wake(order(1));
        assert!(one.changed().now_or_never().is_some());
        assert!(one.changed().now_or_never().is_none(), "one change wakes once");
        assert!(other.changed().now_or_never().is_none(), "another order has changed");
        waiters.wake_all();
        assert!(one.changed().now_or_never().is_some() && other.changed().now_or_never().is_some());
    }

    #[test]
    fn they_are_bounded_and_leave_when_dropped() {
        let waiters = Waiters::new(2);
        let first = waiters.register(order(1)).unwrap();
        let _second = waiters.register(order(1)).unwrap();
        assert_eq!(waiters.register(order(2)).unwrap_err(), Full(2));
        drop(first);
        assert_eq!(waiters.len(), 1);
        assert!(waiters.register(order(2)).is_ok());
    }
}
