//! `shop up --detach`: starts this program again in the background and returns when it is healthy.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};
use client::{Dirs, State};
use tokio::process::Command;

/// Starts the shop in the background, shows its progress, and returns when it is healthy.
pub(crate) async fn run(dir: &Path) -> Result<()> {
    let dirs = Dirs::create(dir)?;
    let path = dirs.log_of("shop");
    // A shop that is being replaced may still write into the same file: each line goes to its end.
    let log = OpenOptions::new().create(true).append(true).open(&path)?;
    log.set_len(0)?;
    let mut shown = std::fs::File::open(&path)?;
    let args = std::env::args_os().skip(1).filter(|arg| arg != "--detach" && arg != "-d");
    let mut child = Command::new(std::env::current_exe()?)
        .args(args)
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    loop {
        let exit = child.try_wait()?;
        show_more(&mut shown)?;
        if let Some(exit) = exit {
            bail!("the shop did not start ({exit})");
        }
        let ours = |state: &State| Some(state.pid) == child.id();
        if State::read(&dirs).is_ok_and(|state| ours(&state)) {
            show_more(&mut shown)?;
            println!("It runs in the background: `./shop status`, `./shop down`.");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Copies what was written since the last time to stdout.
fn show_more(file: &mut std::fs::File) -> Result<()> {
    let at = file.stream_position()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(at + bytes.len() as u64))?;
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}
