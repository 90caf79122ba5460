//! OrderValidated: every check has passed, and the payment is due.

use super::Reaction;
use crate::domain::Input;
use contracts::Order;

/// Charge it.
pub(super) fn reaction(order: Order) -> Reaction {
    Reaction::Decide(order.order_id, Input::OrderValidated(order).into())
}
