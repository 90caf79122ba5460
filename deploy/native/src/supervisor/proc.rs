//! What /proc tells of a process: its memory, its processor time, its children, and its start.

use nix::unistd::{Pid, SysconfVar, sysconf};

/// The memory of a process and its children in MB, pages that they share counted once.
pub(crate) fn memory_mb(pid: u32) -> Option<u64> {
    let mut kilobytes = pss_kb(pid)?;
    for child in children_of(pid) {
        kilobytes += pss_kb(child).unwrap_or(0);
    }
    Some(kilobytes.div_ceil(1024))
}

/// The processor time that a process and its children have used, those that have ended included, in
/// milliseconds.
pub(crate) fn cpu_ms(pid: u32) -> Option<u64> {
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let mut ticks = cpu_ticks(pid)?;
    for child in children_of(pid) {
        ticks += cpu_ticks(child).unwrap_or(0);
    }
    Some(ticks * 1000 / per_second)
}

/// User and system time of a process and of the children that it has waited for: fields 14 to 17 of
/// /proc/PID/stat.
fn cpu_ticks(pid: u32) -> Option<u64> {
    cpu_ticks_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn cpu_ticks_in(stat: &str) -> Option<u64> {
    let fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11).take(4);
    fields.map(|field| field.parse::<u64>().ok()).sum()
}

/// The processes that a process has started.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The proportional set size: it divides shared pages among their processes.
fn pss_kb(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    pss_kb_in(&text)
}

fn pss_kb_in(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// When a process started, in clock ticks since boot: field 22 of /proc/PID/stat. None for one that
/// is gone or a zombie.
pub(super) fn started_ticks(pid: u32) -> Option<u64> {
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

/// A process id as the system calls take it.
pub(super) fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("Linux process ids fit in 22 bits"))
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

    #[test]
    fn processor_time_is_the_sum_of_its_own_and_of_its_ended_children() {
        let stat = "9 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 500 30 20 1 15 16";
        assert_eq!(cpu_ticks_in(stat), Some(551));
        assert!(cpu_ms(std::process::id()).is_some());
    }

    #[test]
    fn the_start_time_is_found_behind_any_name_and_a_zombie_has_none() {
        let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started_ticks_in(&format!("9 (a (b) c) S {fields}")), Some(4711));
        assert_eq!(started_ticks_in(&format!("9 (a) Z {fields}")), None);
        assert!(started_ticks(std::process::id()).is_some());
    }
}
