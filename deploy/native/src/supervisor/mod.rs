//! Owns the processes of a shop: starts, watches, restarts and stops them.
//!
//! Each process has its own process group, log file and pid file, and one task that owns it ([`Part`]).
//! [`leftovers`] ends what a killed supervisor left behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::log::tail;
use client::{Dirs, SERVICES, part_called};
use tokio::time::Instant;

pub(crate) mod leftovers;
mod log;
mod pid_file;
mod proc;
mod process;

pub(crate) use proc::memory_mb;
pub(crate) use process::{Part, PartSpec, Signal};

/// The order in which parts are stopped: a part that depends on others goes before them.
const STOP_ORDER: [&[&str]; 7] =
    [&SERVICES, &["bank"], &["mail"], &["connect"], &["registry"], &["kafka"], &["postgres"]];

/// All processes of one shop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    dirs: Dirs,
    parts: Mutex<Vec<Arc<Part>>>,
}

impl Supervisor {
    /// A supervisor without processes.
    #[must_use]
    pub(crate) fn new(dirs: Dirs) -> Self {
        Self { dirs, parts: Mutex::new(Vec::new()) }
    }

    /// Starts a process and keeps it running; returns at once.
    pub(crate) fn launch(&self, spec: PartSpec) -> Arc<Part> {
        let part = Arc::new(Part::launch(spec, self.dirs.clone()));
        self.list().push(Arc::clone(&part));
        part
    }

    /// All parts, in the order of their start.
    #[must_use]
    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        self.list().clone()
    }

    /// The parts that `name` means: all of a service (`orders`), or one process of it (`orders-0` is the
    /// first, `orders-1` the next).
    ///
    /// # Errors
    /// When there is none; the message lists what there is.
    pub(crate) fn find(&self, name: &str) -> Result<Vec<Arc<Part>>> {
        let parts = self.parts();
        let of_service: Vec<_> =
            parts.iter().filter(|part| part.spec().service == name).cloned().collect();
        if !of_service.is_empty() {
            return Ok(of_service);
        }
        let of_name = |part: &&Arc<Part>| part.spec().name == part_called(name);
        match parts.iter().find(of_name) {
            Some(part) => Ok(vec![Arc::clone(part)]),
            None => {
                let known: Vec<_> = parts.iter().map(|part| part.spec().name.as_str()).collect();
                bail!("no part `{name}`; there are {}", known.join(", "))
            }
        }
    }

    /// Stops a part for good and forgets it.
    pub(crate) async fn remove(&self, part: &Arc<Part>) {
        part.stop().await;
        self.list().retain(|other| !Arc::ptr_eq(other, part));
    }

    /// Waits until `part` is healthy.
    ///
    /// # Errors
    /// When it is not within `deadline`, or keeps dying: with the last lines of its log.
    pub(crate) async fn wait_healthy(&self, part: &Part, deadline: Duration) -> Result<()> {
        const RESTARTS_MAX: u32 = 3;
        let started = Instant::now();
        let restarts = part.status().restarts;
        loop {
            let last = match part.health().await {
                Ok(()) => return Ok(()),
                Err(error) => format!("{error:#}"),
            };
            let died = part.status().restarts - restarts;
            let name = &part.spec().name;
            let problem = if died >= RESTARTS_MAX {
                format!("{name} died {died} times while starting")
            } else if started.elapsed() >= deadline {
                format!("{name} is not healthy after {} s: {last}", deadline.as_secs())
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
            for part in self.parts() {
                if step.contains(&part.spec().service.as_str()) {
                    stopping.spawn(async move { part.stop().await });
                }
            }
            while stopping.join_next().await.is_some() {}
        }
    }

    /// Starts the parts that `name` means, with these variables on top of their own, and waits until they
    /// are healthy.
    ///
    /// # Errors
    /// When there is no such part or it does not become healthy.
    pub(crate) async fn start(&self, name: &str, env: &BTreeMap<String, String>) -> Result<()> {
        const DEADLINE: Duration = Duration::from_secs(60);
        let parts = self.find(name)?;
        for part in &parts {
            part.start(env.clone()).await;
        }
        for part in &parts {
            let what = || format!("starting {}", part.spec().name);
            self.wait_healthy(part, DEADLINE).await.with_context(what)?;
        }
        Ok(())
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Part>>> {
        self.parts.lock().expect("no code panics while it holds the list of parts")
    }
}
