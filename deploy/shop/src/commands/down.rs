//! `shop down`: ends a running shop, and whatever a killed one left.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::find::Found;
use crate::settings::Dirs;
use crate::supervisor::control::{self, Request};
use crate::supervisor::leftovers;

/// Ends the shop in `dir`; that there is none is fine.
pub(crate) async fn run(dir: &Path) -> Result<()> {
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
    match (runs, left.is_empty()) {
        (true, _) => println!("stopped"),
        (false, true) => {
            println!("no shop runs in {}", dirs.root().display());
            // It is not ours to end.
            if let Ok(Found::Containers(project, _)) = Found::at(dir).await {
                println!("`docker compose -p {} down` ends the one in containers", project.name());
            }
        }
        (false, false) => println!("ended what a killed shop left: {}", left.join(", ")),
    }
    Ok(())
}

/// True when no living shop holds the lock.
fn is_unlocked(dirs: &Dirs) -> bool {
    File::open(dirs.lock()).map_or(true, |file| file.try_lock().is_ok())
}
