//! How soon a killed service is back, with its state and without.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::burst::{Wish, open_orders};
use crate::steady::whole;
use crate::{Figures, Ground};

/// Kills orders while `open` orders are open, and times until the next order is confirmed; then the
/// same with the state of orders lost, which it reads back from the log.
///
/// # Errors
/// When orders does not come back.
pub async fn restart(ground: &Ground, open: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    open_orders(ground, Wish::Mixed, open).await?;
    figures.add("restart.open_orders", whole(open as u64));
    figures.add("restart.services_mb", whole(ground.services_mb().await?));

    let shop = ground.shop();
    let begun = Instant::now();
    shop.kill("orders", true).await?;
    ground.validate_one().await?;
    figures.add("restart.after_kill_s", begun.elapsed().as_secs_f64());

    shop.stop("orders").await?;
    let state = shop.state().dir.join("data/state/orders");
    std::fs::remove_dir_all(&state).with_context(|| state.display().to_string())?;
    let begun = Instant::now();
    shop.start_process("orders").await?;
    ground.validate_one().await?;
    let took = begun.elapsed().as_secs_f64();
    figures.add("restart.without_state_s", took);
    // Each open order has its command, two transitions and its validation on the log.
    figures.add("restart.restored_per_s", whole(open as u64) / took);
    shop.start_process("payments").await?;
    Ok(figures)
}
