//! One file for each record that fraud acts upon, named after it.

pub(crate) mod exposure;
pub(crate) mod order_cancelled;
pub(crate) mod order_rejected;
pub(crate) mod order_requested;

use contracts::{
    Order,
    fraud::{Change, Exposure},
    owns::Fraud,
    topics::EXPOSURES,
};
use streams::{Failure, Tx};

/// Tell the partition of the customer what `order` changes.
fn send(order: &Order, change: Change, tx: &mut Tx<'_, Fraud>) -> Result<(), Failure> {
    let exposure = Exposure {
        customer_id: order.customer.customer_id.clone(),
        order_id: order.order_id,
        change,
        value: order.total.clone(),
        requested_at: order.requested_at,
    };
    tx.send(&EXPOSURES, &exposure.customer_id, &exposure)
}
