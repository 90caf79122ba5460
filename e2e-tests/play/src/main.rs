//! `play`: a page on which the simulation can be watched and disturbed.

use clap::Parser;
use play::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().run()
}
