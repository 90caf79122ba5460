//! [`ProcessStatus`]: what can be seen of one process of a shop.

use serde::{Deserialize, Serialize};

/// What a process is doing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It was suspended with `pause`.
    Paused,
    /// It died and will be started again.
    Restarting,
    /// It was stopped, or killed for good.
    Stopped,
}

/// What `status` shows of a process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProcessStatus {
    /// The name of the process.
    pub name: String,
    /// Its process id, while there is one.
    pub pid: Option<u32>,
    /// Tells this run of it from the one before and the next; none while it does not run.
    #[serde(default)]
    pub run: Option<String>,
    /// The port that it is known by.
    pub port: u16,
    /// What it is doing.
    pub state: ProcessState,
    /// Whether it answered its health check, when that was asked for.
    pub healthy: Option<bool>,
    /// How often it died and was started again.
    pub restarts: u32,
    /// Its memory in MB, with that of its children, shared pages divided among their users.
    pub memory_mb: Option<u64>,
    /// The processor time that it has used so far in milliseconds, with that of its children.
    /// Containers do not say.
    #[serde(default)]
    pub cpu_ms: Option<u64>,
}

impl ProcessStatus {
    /// A process of which nothing is known yet but that it shall run.
    #[must_use]
    pub fn new(name: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            pid: None,
            run: None,
            port,
            state: ProcessState::Restarting,
            healthy: None,
            restarts: 0,
            memory_mb: None,
            cpu_ms: None,
        }
    }
}
