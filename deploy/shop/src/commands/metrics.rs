//! `shop metrics`: a configuration of Prometheus for this shop.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use client::control::Request;
use client::{Found, metrics};

use super::place::Place;

/// What is printed.
#[derive(Args, Debug)]
pub(crate) struct MetricsArgs {
    /// How often Prometheus asks, and judges its rules
    #[arg(long, default_value = metrics::INTERVAL)]
    interval: String,
    #[command(flatten)]
    place: Place,
}

/// Prints it.
pub(crate) async fn run(args: MetricsArgs) -> Result<()> {
    let shop = Found::at(args.place.dir()).await?;
    let (state, processes) = (shop.state()?, shop.ask(Request::Status).await?.processes()?);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../alerts/shop.yml");
    let rules = rules.canonicalize().with_context(|| format!("no {}", rules.display()))?;
    print!("{}", metrics::config(&state, &processes, &rules, &args.interval));
    Ok(())
}
