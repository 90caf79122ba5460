//! `shop cdc`: whether change data capture loses anything, and what makes up for it.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use capture::{Addresses, Seen};
use clap::{Args, Subcommand};
use client::Found;

/// What to do, and where.
#[derive(Args, Debug)]
pub(crate) struct CdcArgs {
    #[command(subcommand)]
    action: Action,
    /// The folder of the shop
    #[arg(long, env = "SHOP_DIR", default_value = ".shop", global = true)]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show connectors, slots, heartbeats, and whether the topics say what the tables say; exit
    /// code 1 if something is wrong
    Status,
    /// Make a topic say what its table says: rows are sent again, keys without a row deleted
    Resync {
        /// A captured table: products or customers
        table: String,
    },
    /// Send the messages of payments again that never arrived
    ResendOutbox,
}

/// Does it.
///
/// # Errors
/// When there is no shop, something is wrong, or it cannot be done.
pub(crate) async fn run(args: CdcArgs) -> Result<()> {
    let addresses = Addresses::of(&Found::at(&args.dir).await?.state()?)?;
    match args.action {
        Action::Status => status(&addresses).await,
        Action::Resync { table } => {
            println!("{}", capture::resync(&addresses, &table).await?);
            Ok(())
        }
        Action::ResendOutbox => {
            match capture::resend_outbox(&addresses).await? {
                0 => println!("every row of the outbox is on its topic"),
                sent => println!("{sent} rows of the outbox sent again"),
            }
            Ok(())
        }
    }
}

async fn status(addresses: &Addresses) -> Result<()> {
    let seen = capture::look(addresses).await;
    print!("{}", table(&seen));
    let findings: Vec<_> = seen.iter().flat_map(|seen| &seen.findings).collect();
    findings.iter().for_each(|finding| println!("{finding}"));
    ensure!(findings.is_empty(), "change data capture is not well");
    Ok(())
}

fn table(all: &[Seen]) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let seconds = |age: Duration| format!("{} s ago", age.as_secs());
    let mut out = String::from(
        "CONNECTOR        STATE      FAILED IN 5 MIN  SLOT                BEHIND    HEARTBEAT\n",
    );
    for seen in all {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<16} {:<10} {:>15}  {:<18} {:>7}  {:>11}",
            seen.connector,
            seen.state,
            or_dash(seen.failures.map(|count| count.to_string())),
            seen.slot,
            or_dash(seen.behind.map(|bytes| format!("{} kB", bytes >> 10))),
            or_dash(seen.heartbeat.map(seconds)),
        );
    }
    out
}
