//! Pid files, and ending what a supervisor that was killed has left behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill, killpg};
use serde::{Deserialize, Serialize};

use super::{memory::children_of, process::as_pid};
use crate::settings::Dirs;

/// A process that we started: the start time tells it from a later one with the same number.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct PidFile {
    pid: u32,
    started_ticks: u64,
    stop_signal: i32,
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

    fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }
}

fn path_of(dirs: &Dirs, name: &str) -> PathBuf {
    dirs.run().join(format!("{name}.json"))
}

/// When a process started, in clock ticks since boot: field 22 of /proc/PID/stat. None for one that is
/// gone or a zombie.
fn started_ticks(pid: u32) -> Option<u64> {
    started_ticks_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn started_ticks_in(stat: &str) -> Option<u64> {
    // The name (field 2) may hold spaces and parentheses, so fields are counted from its end.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

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

    #[test]
    fn the_start_time_is_found_behind_any_name_and_a_zombie_has_none() {
        let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started_ticks_in(&format!("9 (a (b) c) S {fields}")), Some(4711));
        assert_eq!(started_ticks_in(&format!("9 (a) Z {fields}")), None);
        assert!(started_ticks(std::process::id()).is_some());
    }

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
