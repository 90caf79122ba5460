//! Files for the eyes of our user alone.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file that its owner alone may read, as a whole: readers see the old one or the new one.
///
/// # Errors
/// When its folder is not writable.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_added_extension("new");
    // A new file, as the mode of one that is there would stay.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    let mut file = file.with_context(|| format!("cannot write {}", new.display()))?;
    file.write_all(content).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}
