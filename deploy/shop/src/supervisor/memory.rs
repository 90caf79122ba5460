//! What /proc tells of a process: its memory and its children.

/// The memory of a process and its children in MB, pages that they share counted once.
pub(crate) fn memory_mb(pid: u32) -> Option<u64> {
    let mut kilobytes = pss_kb(pid)?;
    for child in children_of(pid) {
        kilobytes += pss_kb(child).unwrap_or(0);
    }
    Some(kilobytes.div_ceil(1024))
}

/// The processes that a process has started.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The proportional set size: shared pages are divided among those who share them.
fn pss_kb(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    pss_kb_in(&text)
}

fn pss_kb_in(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_set_size_is_read() {
        assert_eq!(pss_kb_in("00400000 rollup\nRss:   90 kB\nPss:    70 kB\n"), Some(70));
        assert_eq!(pss_kb_in(""), None);
        assert!(memory_mb(std::process::id()).is_some());
    }
}
