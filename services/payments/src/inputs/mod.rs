//! The reaction of payments to each record on `orders`: one file per event that it acts upon, and a
//! name for each event that it ignores.

mod order_cancelled;
mod order_validated;

use crate::{domain::Input, outbox};
use contracts::{Order, OrderId, TransitionKind, topics};
use streams::{Codec, Failure, Record};
use uuid::Uuid;

/// What a record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Decide on this.
    Decide(OrderId, Box<Input>),
    /// We wrote it: this row of the outbox has come back.
    Returned(Uuid),
    /// Nothing, and why.
    Nothing(NotForUs),
}

/// Why a good record asks nothing of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForUs {
    /// Orders goes on with this one.
    OrdersHoldsTheBaton,
    /// The order has ended, and no money is held for it.
    Settled,
    /// An operator has taken it out of the way.
    PassedBy,
}

/// What `record` asks for.
///
/// # Errors
/// [`Failure::Poison`] with the cause: bytes that are no order, a writer that did not hold the
/// baton, a value out of bounds. [`Failure::Retriable`] when the registry is away.
pub fn reaction(codec: &Codec, record: &Record) -> Result<Reaction, Failure> {
    let bytes = record.value.as_deref();
    let bytes = bytes.ok_or_else(|| Failure::poison("the record has no value"))?;
    let order: Order = codec.decode(&topics::ORDERS, bytes)?;
    order.check_written(record.key_as()?, record.headers.source()).map_err(Failure::poison)?;
    asked_by(order)
}

/// What an order asks for that its writer might write.
pub(crate) fn asked_by(order: Order) -> Result<Reaction, Failure> {
    match order.transition {
        TransitionKind::OrderValidated => Ok(order_validated::reaction(order)),
        TransitionKind::OrderCancelled => Ok(order_cancelled::reaction(order)),
        TransitionKind::OrderRequested => Ok(Reaction::Nothing(NotForUs::OrdersHoldsTheBaton)),
        TransitionKind::OrderRejected | TransitionKind::OrderConfirmed => {
            Ok(Reaction::Nothing(NotForUs::Settled))
        }
        TransitionKind::PaymentReceived
        | TransitionKind::PaymentDeclined
        | TransitionKind::PaymentRefunded => Ok(Reaction::Returned(outbox::row_of(&order))),
    }
}

#[cfg(test)]
mod tests;
