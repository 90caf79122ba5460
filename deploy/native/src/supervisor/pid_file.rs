//! [`PidFile`]: by which a process is known after its supervisor was killed.

use std::path::PathBuf;

use anyhow::Result;
use client::Dirs;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::proc::started_ticks;

/// A process that we started: the start time tells it from a later one with the same number.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) started_ticks: u64,
    pub(super) stop_signal: i32,
}

impl PidFile {
    pub(super) fn write(dirs: &Dirs, name: &str, pid: u32, stop_signal: Signal) -> Result<()> {
        // A process that is gone already needs no file.
        let Some(started_ticks) = started_ticks(pid) else { return Ok(()) };
        let file = Self { pid, started_ticks, stop_signal: stop_signal as i32 };
        std::fs::write(path_of(dirs, name), serde_json::to_vec(&file)?)?;
        Ok(())
    }

    pub(super) fn remove(dirs: &Dirs, name: &str) {
        // It may never have been written.
        let _ = std::fs::remove_file(path_of(dirs, name));
    }

    pub(super) fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }
}

/// Where the pid file of process `name` is.
pub(super) fn path_of(dirs: &Dirs, name: &str) -> PathBuf {
    dirs.run().join(format!("{name}.json"))
}
