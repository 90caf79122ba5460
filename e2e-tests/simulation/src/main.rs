//! `simulate`: many seeds, one verdict.

use clap::Parser;
use simulation::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().run()
}
