//! The command line of `play`, which `./shop play` builds and runs.

use crate::{asked::Asked, bundle, player::Player, server};
use anyhow::Context;
use clap::Parser;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Shows the simulation as a page: the services' own code in one process, a clock to run, slow
/// down, stop and step, eight buttons for faults, and the auditor at work beside it. Nothing is
/// installed, and nothing leaves this machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "shop play", version)]
pub struct Cli {
    /// The port of the page on this machine; 0 for any that is free.
    #[arg(long, default_value_t = 8090, env = "PLAY_PORT")]
    port: u16,
    /// The run to begin with, as the address of the page has it: `seed=7&presses=2140.decline`.
    #[arg(long, value_name = "ADDRESS", default_value = "", value_parser = read)]
    run: Asked,
    /// Write the run as one HTML file that plays without a server, and end.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

fn read(address: &str) -> Result<Asked, String> {
    Asked::read(address).map_err(|error| format!("{error:#}"))
}

impl Cli {
    /// Do what it says.
    pub fn run(&self) -> ExitCode {
        let done = match &self.record {
            Some(file) => record(&self.run, file),
            None => self.serve(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("shop play: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let query = self.run.query();
        runtime.block_on(server::serve(self.port, |address| {
            println!("the page is at {address}/{query} (Ctrl-C ends it)");
        }))
    }
}

fn record(asked: &Asked, file: &Path) -> anyhow::Result<()> {
    let tape = Player::default().record(asked)?;
    let page = bundle::file(asked, &tape)?;
    fs::write(file, &page).with_context(|| format!("--record {}", file.display()))?;
    println!("{} has the run, in {} kB: open it in a browser", file.display(), page.len() / 1000);
    Ok(())
}
