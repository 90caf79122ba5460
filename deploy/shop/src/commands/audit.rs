//! `shop audit`: whether every law holds in a running shop.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use auditor::Verdict;
use clap::Args;
use client::Found;
use evidence::{audit_at_rest, collect};

/// Neither clean nor not: a process did not answer.
#[derive(Debug)]
struct CouldNotLook;

impl fmt::Display for CouldNotLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not look at the shop")
    }
}

/// What the process ends with after `error`: 2 if the shop could not be looked at, else 1.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<CouldNotLook>() {
        Some(CouldNotLook) => ExitCode::from(2),
        None => ExitCode::FAILURE,
    }
}

/// How to look.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    /// How long an effect may take: what is younger is on its way, not missing
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    grace: u64,
    /// Look again until nothing is on its way
    #[arg(long)]
    wait: bool,
    /// Longest time to wait with --wait
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
}

/// Looks, and prints the verdict.
///
/// # Errors
/// When a law does not hold, when --wait has waited in vain, or when a process cannot be looked at,
/// which [`exit_code`] tells apart.
pub(crate) async fn run(dir: &Path, options: &Options) -> Result<()> {
    let verdict = verdict(dir, options).await.context(CouldNotLook)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        println!("{verdict}");
    }
    let violations = verdict.violation_count();
    ensure!(verdict.is_clean(), "the shop is not clean: {violations} violations");
    let (pending, patience) = (verdict.pending(), options.patience);
    ensure!(
        !options.wait || pending == 0,
        "{pending} effects are still on their way after {patience} s: `shop status` shows what \
         delays them; --patience waits longer"
    );
    Ok(())
}

async fn verdict(dir: &Path, options: &Options) -> Result<Verdict> {
    let state = Found::at(dir).await?.state()?;
    let grace = Duration::from_secs(options.grace);
    if options.wait {
        let patience = Duration::from_secs(options.patience);
        return audit_at_rest(&state, grace, patience, auditor::audit).await;
    }
    Ok(auditor::audit(&collect(&state, grace).await?))
}
