//! [`SplitLoop`]: reads `orders`, writes one command per line to `inventory.commands`.
//!
//! It has no state: which transition it is says all there is to do.

use crate::{
    domain::split::NoOp,
    handlers::{on_order_cancelled, on_order_confirmed, on_order_rejected, on_order_requested},
    topology,
};
use contracts::{
    Order, OrderId, TransitionKind,
    owns::Inventory,
    topics::{self, ORDERS, TopicSpec},
};
use streams::{Failure, Processor, Record, Tx};

/// Takes orders apart, so that each sku has one writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SplitLoop;

impl Processor for SplitLoop {
    type Identity = Inventory;

    fn inputs(&self) -> Vec<&'static TopicSpec> {
        topics::inputs(&topology::SPLIT)
    }

    fn outputs(&self) -> Vec<&'static TopicSpec> {
        topics::outputs(&topology::SPLIT)
    }

    fn process(&mut self, record: &Record, tx: &mut Tx<'_, Inventory>) -> Result<(), Failure> {
        let order = tx.decode(&ORDERS, record)?;
        let key: OrderId = record.key_as()?;
        order.check_written(key, record.headers.source()).map_err(Failure::poison)?;
        match order.transition {
            TransitionKind::OrderRequested => on_order_requested::handle(&order, tx),
            TransitionKind::OrderRejected => on_order_rejected::handle(&order, tx),
            TransitionKind::OrderCancelled => on_order_cancelled::handle(&order, tx),
            TransitionKind::OrderConfirmed => on_order_confirmed::handle(&order, tx),
            TransitionKind::OrderValidated
            | TransitionKind::PaymentReceived
            | TransitionKind::PaymentDeclined => ignored(&order, NoOp::StaysReserved),
            TransitionKind::PaymentRefunded => ignored(&order, NoOp::ReleasedBefore),
        }
    }
}

fn ignored(order: &Order, why: NoOp) -> Result<(), Failure> {
    tracing::trace!(order_id = %order.order_id, transition = %order.transition, ?why, "ignored");
    Ok(())
}
