//! OrderValidated: every check has passed, and the payment is due.

use super::Reaction;
use crate::domain::Input;
use contracts::Order;
use streams::Failure;

/// Charge it, if what it asks for can be charged at all.
pub(super) fn reaction(order: Order) -> Result<Reaction, Failure> {
    let total = &order.total;
    if total.amount_minor < 0 {
        return Err(Failure::poison(format!("{total} cannot be charged: it is below zero")));
    }
    let currency = total.currency.as_bytes();
    if currency.len() != 3 || !currency.iter().all(u8::is_ascii_uppercase) {
        return Err(Failure::poison(format!("`{}` is no currency", total.currency.escape_debug())));
    }
    Ok(Reaction::Decide(order.order_id, Input::OrderValidated(order).into()))
}
