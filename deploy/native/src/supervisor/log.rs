//! Log files of the processes, bounded at each start.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// A log larger than this at the start of its process makes room for a new one; one old one is
/// kept.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Opens a log for appending.
pub(super) fn open(path: &Path) -> Result<File> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Writes a line of the supervisor's own into the log of a process.
pub(super) fn note(path: &Path, what: &str) {
    if let Ok(mut file) = open(path) {
        // A failure to write would go to this log; there is no better place.
        let _ = writeln!(file, "--- shop: {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grew_too_large_makes_room() {
        let dir = std::env::temp_dir().join(format!("shop-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.log");
        File::create(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        note(&path, "started");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "--- shop: started\n");
        assert!(path.with_extension("log.old").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
