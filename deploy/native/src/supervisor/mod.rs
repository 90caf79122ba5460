//! Owns the processes of a shop: starts, watches, restarts and stops them.
//!
//! Each process has its own process group, log file and pid file, and one task that owns it
//! ([`Process`]). [`leftovers`] ends what a killed supervisor left behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::log::tail;
use client::{Dirs, HEALTHY_WITHIN, SERVICES, process_called};
use tokio::time::Instant;

pub(crate) mod leftovers;
mod log;
mod pid_file;
mod proc;
mod process;

pub(crate) use proc::{cpu_ms, memory_mb};
pub(crate) use process::{Process, ProcessSpec, Signal};

/// The order in which processes are stopped: a process that depends on others goes before them.
const STOP_ORDER: [&[&str]; 7] =
    [&SERVICES, &["bank"], &["mail"], &["connect"], &["registry"], &["kafka"], &["postgres"]];

/// All processes of one shop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    dirs: Dirs,
    processes: Mutex<Vec<Arc<Process>>>,
}

impl Supervisor {
    /// A supervisor without processes.
    #[must_use]
    pub(crate) fn new(dirs: Dirs) -> Self {
        Self { dirs, processes: Mutex::new(Vec::new()) }
    }

    /// Starts a process and keeps it running; returns at once.
    pub(crate) fn launch(&self, spec: ProcessSpec) -> Arc<Process> {
        let process = Arc::new(Process::launch(spec, self.dirs.clone()));
        self.list().push(Arc::clone(&process));
        process
    }

    /// All processes, in the order of their start.
    #[must_use]
    pub(crate) fn processes(&self) -> Vec<Arc<Process>> {
        self.list().clone()
    }

    /// The processes that `name` means: all of a service (`orders`), or one process of it
    /// (`orders-0` is the first, `orders-1` the next).
    ///
    /// # Errors
    /// When there is none; the message lists what there is.
    pub(crate) fn find(&self, name: &str) -> Result<Vec<Arc<Process>>> {
        let processes = self.processes();
        let of_service: Vec<_> =
            processes.iter().filter(|process| process.spec().service == name).cloned().collect();
        if !of_service.is_empty() {
            return Ok(of_service);
        }
        let of_name = |process: &&Arc<Process>| process.spec().name == process_called(name);
        match processes.iter().find(of_name) {
            Some(process) => Ok(vec![Arc::clone(process)]),
            None => {
                let known: Vec<_> =
                    processes.iter().map(|process| process.spec().name.as_str()).collect();
                bail!("no process `{name}`; there are {}", known.join(", "))
            }
        }
    }

    /// Stops a process for good and forgets it.
    pub(crate) async fn remove(&self, process: &Arc<Process>) {
        process.stop().await;
        self.list().retain(|other| !Arc::ptr_eq(other, process));
    }

    /// Waits until `process` is healthy.
    ///
    /// # Errors
    /// When it is not within [`HEALTHY_WITHIN`], or keeps dying: with the last lines of its log.
    pub(crate) async fn wait_healthy(&self, process: &Process) -> Result<()> {
        const RESTARTS_MAX: u32 = 3;
        let started = Instant::now();
        let restarts = process.status().restarts;
        loop {
            let last = match process.health().await {
                Ok(()) => return Ok(()),
                Err(error) => format!("{error:#}"),
            };
            let died = process.status().restarts - restarts;
            let name = &process.spec().name;
            let problem = if died >= RESTARTS_MAX {
                format!("{name} died {died} times while starting")
            } else if started.elapsed() >= HEALTHY_WITHIN {
                format!("{name} is not healthy after {} s: {last}", HEALTHY_WITHIN.as_secs())
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let path = self.dirs.log_of(name);
            let tail = tail(&path, 20).unwrap_or_default();
            bail!("{problem}\nthe end of {}:\n{tail}", path.display());
        }
    }

    /// Stops everything, in [`STOP_ORDER`]; those of one step at the same time.
    pub(crate) async fn stop_all(&self) {
        for step in STOP_ORDER {
            let mut stopping = tokio::task::JoinSet::new();
            for process in self.processes() {
                if step.contains(&process.spec().service.as_str()) {
                    stopping.spawn(async move { process.stop().await });
                }
            }
            while stopping.join_next().await.is_some() {}
        }
    }

    /// Starts the processes that `name` means, with these variables on top of their own, and waits
    /// until they are healthy.
    ///
    /// # Errors
    /// When there is no such process or it does not become healthy.
    pub(crate) async fn start(&self, name: &str, env: &BTreeMap<String, String>) -> Result<()> {
        let processes = self.find(name)?;
        for process in &processes {
            process.start(env.clone()).await;
        }
        for process in &processes {
            let what = || format!("starting {}", process.spec().name);
            self.wait_healthy(process).await.with_context(what)?;
        }
        Ok(())
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().expect("no code panics while it holds the list of processes")
    }
}
