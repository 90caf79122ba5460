//! One file per command.

pub(crate) mod acls;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod cdc;
pub(crate) mod chaos;
mod detach;
pub(crate) mod dlq;
pub(crate) mod down;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod order;
pub(crate) mod place;
pub(crate) mod provision;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod topics;
pub(crate) mod up;
pub(crate) mod view;
