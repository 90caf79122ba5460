//! The messages of fraud: orders, keyed by customer.

use crate::{CustomerId, Money, OrderId, Timestamp, avro::avro_record};
use serde::{Deserialize, Serialize};

/// The name of the check that fraud makes, as `required_checks` has it.
pub const CHECK: &str = "fraud";

/// What an order changes. The order of the variants is that of the Avro enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// Its value is open from now on.
    Opened,
    /// It was rejected or cancelled: its value is open no longer.
    FellThrough,
}

/// What one order changes in the open value of its customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exposure {
    /// The record's key.
    pub customer_id: CustomerId,
    /// The order.
    pub order_id: OrderId,
    /// Which way.
    pub change: Change,
    /// The order's total.
    pub value: Money,
    /// When the order was accepted.
    pub requested_at: Timestamp,
}

avro_record!(Exposure, "fraud/Exposure.avsc");
