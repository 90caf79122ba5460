//! The last lines of a log file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::Result;

/// The last `lines` lines of a file, looking at no more than its last 64 KiB.
///
/// # Errors
/// When the file cannot be read.
pub fn tail(path: &Path, lines: usize) -> Result<String> {
    const WINDOW_BYTES: u64 = 64 * 1024;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WINDOW_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes), lines).to_owned())
}

fn last_lines(text: &str, lines: usize) -> &str {
    let text = text.trim_end_matches('\n');
    match text.rmatch_indices('\n').nth(lines.saturating_sub(1)) {
        Some((at, _)) if lines > 0 => &text[at + 1..],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_as_many_as_asked_or_all() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\nb\nc", 1), "c");
        assert_eq!(last_lines("a\nb\n", 9), "a\nb");
        assert_eq!(last_lines("", 3), "");
    }
}
