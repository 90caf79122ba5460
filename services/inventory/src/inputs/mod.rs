//! One file for each message that inventory acts upon, named after it: read, decide, evolve, store,
//! send.

pub(crate) mod inventory_command;
pub(crate) mod latest_order;
pub(crate) mod order_transition;
pub(crate) mod reservation;
pub(crate) mod stock_level;
