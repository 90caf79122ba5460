//! Payments: what it decides and gathers is the service's own code (`handlers`, `Changes`,
//! `intake::gather`); its tables, and the two loops around them, are modelled.

pub(crate) mod database;
pub(crate) mod intake;
pub(crate) mod supervisor;
