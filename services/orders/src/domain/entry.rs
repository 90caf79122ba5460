//! [`Entry`]: what orders knows of one order.

use contracts::{CommandId, Order, Reason, Status, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The longest time from acceptance to the deadline: thirty days. Outcomes are kept for ninety on
/// their topic, so an order is over before they are forgotten.
pub const DEADLINE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long outcomes wait for an order that has not come: the longest deadline and a day. An order
/// that came later would be over at once.
pub const OUTCOMES_WAIT: Duration = DEADLINE_MAX.saturating_add(Duration::from_secs(24 * 60 * 60));

/// The fold of everything that orders has read about one order.
///
/// A settled order keeps its last state only: that is what repeated and late commands are judged
/// by. Its orders are shared, so a copy of an entry is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The order after the last transition that was read from the log; none before the first.
    pub order: Option<Arc<Order>>,
    /// Our own next transition, sent but not read back yet. There is one at most, so a decision is
    /// never based on an order that is about to change.
    pub proposed: Option<Arc<Order>>,
    /// Outcomes by check: a set, so that a repeated one counts once. They may come before the
    /// order, and are dropped when it leaves [`Status::Requested`].
    pub outcomes: BTreeMap<String, CheckOutcome>,
    /// Since when the first of `outcomes` waits for its order; none once the order is there.
    pub waiting_since: Option<Timestamp>,
    /// The cancellation that is owed to the customer, from the moment it is accepted until the
    /// order is cancelled.
    pub cancellation: Option<CommandId>,
    /// The offset of the order's PlaceOrder on its partition of `orders.commands`. A CancelOrder
    /// that stands before it was refused, and stays refused when the log is folded again.
    pub placed_at: Option<i64>,
    /// PlaceOrders that were refused while there was no order. A client may have been told so: the
    /// same command stays refused, even if the catalog has its customer and products by now. At
    /// most [`super::place_order::REFUSED_MAX`].
    pub refused: BTreeSet<CommandId>,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckOutcome {
    /// It passed.
    Passed,
    /// It failed, and why.
    Failed(Reason),
}

impl Entry {
    /// The order after our proposal, once we have read it back. No other service can write in
    /// between, because we hold the baton; so orders judges commands by this state.
    pub fn standing(&self) -> Option<&Order> {
        self.proposed.as_deref().or(self.order.as_deref())
    }

    /// When time will act on the order: its deadline, while it is ours to end; without an order,
    /// the time at which its outcomes are forgotten.
    pub fn due(&self) -> Option<Timestamp> {
        match (&self.proposed, &self.order) {
            (Some(_), _) => None,
            (None, Some(order)) if order.status == Status::Requested => Some(order.deadline),
            (None, Some(_)) => None,
            (None, None) => self.waiting_since.map(|since| since + OUTCOMES_WAIT),
        }
    }
}
