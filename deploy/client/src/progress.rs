//! Progress on the terminal: one line per step, with the time since the start.

use std::io::{Write, stdout};
use std::time::Instant;

/// Prints steps with the seconds since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    started: Instant,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Prints one step: which process, and what happened to it. A line that cannot be written, such
    /// as on a full disk, is lost: it must not end a shop.
    pub fn step(&self, process: &str, what: impl std::fmt::Display) {
        let _ = writeln!(stdout(), "[{:6.1}s] {process:<10} {what}", self.seconds());
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
