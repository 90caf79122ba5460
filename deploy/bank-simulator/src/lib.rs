//! The bank: a system outside the shop, of the kind that payments has to live with.
//!
//! Owns: charges, by the idempotency key that the caller chose, and the statement of what was
//! booked. Offers: `POST /charges`, voids, refunds, `GET /statement` (README.md has it all).
//! Guarantees: a key is captured at most once, an answer is given only after the booking is in the
//! journal, and the statement survives the end of the process. Fails how: as told with
//! `PUT /faults`: slowly, with an error, with a lost request, a lost answer or not answering.
//!
//! Without the feature `service` there is no IO in it: the ledger, which is what the simulation and
//! the model ask.

pub mod ledger;

#[cfg(feature = "service")]
pub mod bank;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod faults;
#[cfg(feature = "service")]
pub mod http;
#[cfg(feature = "service")]
pub mod journal;
#[cfg(feature = "service")]
mod service;

#[cfg(feature = "service")]
pub use config::Config;
#[cfg(feature = "service")]
pub use service::start;
