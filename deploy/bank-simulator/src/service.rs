//! The bank as a process: its journal, its routes, its end.

use crate::{Config, bank, http};
use anyhow::Context;
use service_kit::{CallerSettings, Guarded, Lifecycle, Limits, Running, Shutdown};
use std::sync::Arc;

/// Opens the journal, replays it and serves until `shutdown`.
///
/// # Errors
/// Fails if the journal cannot be opened or replayed, or the address is taken.
pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    let lifecycle = Lifecycle::new(shutdown);
    let bank = bank::Bank::open(&config.data_dir, lifecycle.health().check("journal"))?;
    let routes = http::router(Arc::new(bank), lifecycle.shutdown());
    let address = (config.addr(), &CallerSettings::default());
    let serving = lifecycle.serve(address, Guarded::public(routes), Limits::default()).await;
    Ok(serving.context("the address of the bank is BANK_ADDR, or else HTTP_ADDR")?.registered())
}
