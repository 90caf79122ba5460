//! OrderCancelled: its value is open no longer; the bank refunds a paid order.

use super::send;
use contracts::{Order, fraud::Change, owns::Fraud};
use streams::{Failure, Tx};

pub(crate) fn handle(order: &Order, tx: &mut Tx<'_, Fraud>) -> Result<(), Failure> {
    send(order, Change::FellThrough, tx)
}
