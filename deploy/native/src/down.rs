//! Ends a running shop, and whatever a killed one left.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use client::Dirs;
use client::control::{self, Request};
use tokio::time::Instant;

use crate::supervisor::leftovers;

/// What there was to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// A shop that ran.
    Shop,
    /// What a killed shop left: the names of its processes.
    Left(Vec<String>),
    /// Nothing, in this folder.
    Nothing(PathBuf),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shop => f.write_str("stopped"),
            Self::Left(names) => write!(f, "ended what a killed shop left: {}", names.join(", ")),
            Self::Nothing(folder) => write!(f, "no shop runs in {}", folder.display()),
        }
    }
}

/// Ends the shop in `dir`; that there is none is fine.
///
/// # Errors
/// When it does not end within 90 s, or the folder cannot be read.
pub async fn down(dir: &Path) -> Result<Ended> {
    const DEADLINE: Duration = Duration::from_secs(90);
    let dirs = Dirs::at(dir);
    let runs = control::ask(&dirs.control_socket(), &Request::Down).await.is_ok();
    let asked = Instant::now();
    while !is_unlocked(&dirs) {
        ensure!(asked.elapsed() < DEADLINE, "the shop did not end within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left = leftovers::end_leftovers(&dirs)?;
    let _ = std::fs::remove_file(dirs.state());
    Ok(match (runs, left.is_empty()) {
        (true, _) => Ended::Shop,
        (false, true) => Ended::Nothing(dirs.root().to_owned()),
        (false, false) => Ended::Left(left),
    })
}

/// True when no living shop holds the lock.
fn is_unlocked(dirs: &Dirs) -> bool {
    File::open(dirs.lock()).map_or(true, |file| file.try_lock().is_ok())
}
