//! [`Machine`]: where a run was made.

use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Rounds of the yardstick: a tenth of a second on an ordinary core of 2025.
const ROUNDS: u32 = 200_000;
/// Handovers that are timed.
const HANDOVERS: usize = 2_000;

/// Where a run was made, and how fast that was on the day.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Its memory in MB; 0 when it does not say.
    pub memory_mb: u64,
    /// How long a fixed calculation on one core takes, in seconds: the median of five. Machines
    /// that are shared differ by a factor of ten from day to day.
    pub yardstick_s: f64,
    /// How long it takes until another thread goes on with what this one has given it, in
    /// microseconds: the median. A shop at a light load does little else. 0 in the lines of runs
    /// from before it was measured.
    #[serde(default)]
    pub handover_us: f64,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn here() -> Self {
        let mut times = [(); 5].map(|()| yardstick());
        times.sort_by(f64::total_cmp);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: memory_mb().unwrap_or(0),
            yardstick_s: (times[2] * 1e4).round() / 1e4,
            handover_us: (handover() * 1e7).round() / 10.0,
        }
    }
}

fn yardstick() -> f64 {
    let begun = Instant::now();
    let mut digest = Sha256::digest(b"murmuration");
    for _ in 0..ROUNDS {
        digest = Sha256::digest(digest);
    }
    black_box(digest);
    begun.elapsed().as_secs_f64()
}

/// Both threads sleep while the other one works, as the threads of a client and a server do.
fn handover() -> f64 {
    let ((there, came), (back, returned)) = (sync_channel(0), sync_channel(0));
    thread::scope(|scope| {
        scope.spawn(move || came.iter().try_for_each(|()| back.send(())));
        let there_and_back = |_| {
            let begun = Instant::now();
            let both = there.send(()).is_ok() && returned.recv().is_ok();
            both.then(|| begun.elapsed().as_secs_f64() / 2.0)
        };
        let mut times: Vec<f64> = (0..HANDOVERS).filter_map(there_and_back).collect();
        drop(there);
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    })
}

fn memory_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let here = Machine::here();
        assert!(here.cores > 0 && here.yardstick_s > 0.0 && here.handover_us > 0.0, "{here:?}");
    }
}
