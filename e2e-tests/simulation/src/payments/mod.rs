//! Payments: its intake and its supervisor are the service's own code, over tables in memory and a
//! bank behind a bad line. What is here is their surroundings, and what goes wrong in between.

pub(crate) mod database;
pub(crate) mod intake;
pub(crate) mod supervisor;
