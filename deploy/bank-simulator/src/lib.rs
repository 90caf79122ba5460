//! The bank: a system outside the shop, of the kind that payments has to live with.
//!
//! Owns: charges, by the idempotency key that the caller chose, and the statement of what was
//! booked. Offers: `POST /charges`, voids, refunds, `GET /statement` (README.md has it all).
//! Guarantees: a key is captured at most once, an answer is given only after the booking is in the
//! journal, and the statement survives the end of the process. Fails how: as told with
//! `PUT /faults`: slowly, with an error, with a lost request, a lost answer or not answering.

pub mod bank;
pub mod config;
pub mod faults;
pub mod http;
pub mod journal;
pub mod ledger;

use std::sync::Arc;

use anyhow::Context;

use service_kit::{Lifecycle, Limits, Running, Shutdown};

pub use config::Config;

/// Opens the journal, replays it and serves until `shutdown`.
///
/// # Errors
/// Fails if the journal cannot be opened or replayed, or the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    let lifecycle = Lifecycle::new(shutdown);
    let bank = bank::Bank::open(&config.data_dir, lifecycle.health().check("journal"))?;
    let routes = http::router(Arc::new(bank), lifecycle.shutdown());
    lifecycle
        .serve(config.addr(), routes, Limits::default())
        .await
        .context("the address of the bank is BANK_ADDR, or else HTTP_ADDR")
}
