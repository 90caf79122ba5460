//! `shop`: see `shop --help`.

use std::process::ExitCode;

use clap::Parser;
use shop::cli::{self, Cli};

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    cli::run(Cli::parse())
}
