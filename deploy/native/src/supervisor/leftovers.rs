//! Ends what a supervisor that was killed has left behind.

use std::time::{Duration, Instant};

use anyhow::Result;
use client::Dirs;
use nix::sys::signal::{Signal, kill, killpg};

use super::pid_file::PidFile;
use super::proc::{as_pid, children_of};

/// Ends every process that a former supervisor of this shop left running; returns their names.
///
/// # Errors
/// When the folder of pid files cannot be read.
pub(crate) fn end_leftovers(dirs: &Dirs) -> Result<Vec<String>> {
    const GRACE: Duration = Duration::from_secs(15);
    let mut left = Vec::new();
    let Ok(entries) = std::fs::read_dir(dirs.run()) else { return Ok(Vec::new()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let file = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let (Some(name), Some(file)) = (name, file) {
            let file: PidFile = file;
            if file.is_alive() {
                left.push((name, file));
            }
        }
        std::fs::remove_file(&path)?;
    }
    for (_, file) in &left {
        let signal = Signal::try_from(file.stop_signal).unwrap_or(Signal::SIGTERM);
        // Errors mean that it ended in this moment.
        let _ = kill(as_pid(file.pid), signal);
        for child in children_of(file.pid) {
            let _ = kill(as_pid(child), Signal::SIGCONT);
        }
        let _ = killpg(as_pid(file.pid), Signal::SIGCONT);
    }
    let asked = Instant::now();
    while left.iter().any(|(_, file)| file.is_alive()) && asked.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(50));
    }
    for (_, file) in left.iter().filter(|(_, file)| file.is_alive()) {
        let _ = killpg(as_pid(file.pid), Signal::SIGKILL);
    }
    Ok(left.into_iter().map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::pid_file::path_of;

    #[test]
    fn a_process_of_ours_is_ended_and_a_stranger_with_its_number_is_not() {
        let root = std::env::temp_dir().join(format!("shop-leftovers-{}", std::process::id()));
        let dirs = Dirs::create(&root).unwrap();
        let mut ours = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        PidFile::write(&dirs, "ours", ours.id(), Signal::SIGTERM).unwrap();
        let other_start = PidFile { pid: stranger.id(), started_ticks: 1, stop_signal: 15 };
        std::fs::write(path_of(&dirs, "stranger"), serde_json::to_vec(&other_start).unwrap())
            .unwrap();

        assert_eq!(end_leftovers(&dirs).unwrap(), ["ours"]);
        assert!(!ours.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");

        stranger.kill().unwrap();
        stranger.wait().unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
