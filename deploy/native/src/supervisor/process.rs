//! One process: the task that owns it starts it, restarts it when it dies, and stops it when told
//! to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Dirs, Health, ProcessState, ProcessStatus};
use nix::sys::signal::{kill, killpg};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::log;
use super::pid_file::PidFile;
use super::proc::{as_pid, children_of};

pub(crate) use nix::sys::signal::Signal;

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A process that has lived this long starts again with the shortest backoff.
const STEADY_AFTER: Duration = Duration::from_secs(30);

/// What a process is.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSpec {
    /// The name of the process: `kafka`, `orders`, `orders-1`.
    pub(crate) name: String,
    /// What it is an instance of: `orders`.
    pub(crate) service: String,
    /// The executable.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables on top of the supervisor's own.
    pub(crate) env: BTreeMap<String, String>,
    /// Its working folder.
    pub(crate) cwd: PathBuf,
    /// User and group to run as, when not the supervisor's.
    pub(crate) user: Option<(u32, u32)>,
    /// The port that it is known by.
    pub(crate) port: u16,
    /// How its health is seen.
    pub(crate) health: Health,
    /// The signal that asks it to end.
    pub(crate) stop_signal: Signal,
    /// How long it may take to end before it is killed.
    pub(crate) grace: Duration,
}

#[derive(Debug)]
enum Order {
    Start(BTreeMap<String, String>),
    Stop,
    Kill { restart: bool },
    Pause,
    Resume,
}

type Shared = Arc<Mutex<ProcessStatus>>;

/// The handle of a supervised process.
#[derive(Debug)]
pub(crate) struct Process {
    spec: ProcessSpec,
    status: Shared,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
}

impl Process {
    /// Starts the process and the task that owns it.
    pub(super) fn launch(spec: ProcessSpec, dirs: Dirs) -> Self {
        let status = Arc::new(Mutex::new(ProcessStatus::new(&spec.name, spec.port)));
        let (orders, inbox) = mpsc::channel(8);
        let owner = Owner {
            spec: spec.clone(),
            dirs,
            status: Arc::clone(&status),
            extra_env: BTreeMap::new(),
            child: None,
            started: Instant::now(),
            backoff: BACKOFF_MIN,
            start_at: Some(Instant::now()),
        };
        tokio::spawn(owner.run(inbox));
        Self { spec, status, orders }
    }

    /// What the process is.
    #[must_use]
    pub(crate) fn spec(&self) -> &ProcessSpec {
        &self.spec
    }

    /// What the process is doing now; health and memory are left out.
    #[must_use]
    pub(crate) fn status(&self) -> ProcessStatus {
        self.status.lock().expect("no code panics while it holds a status").clone()
    }

    /// Asks the process whether it can do its work.
    ///
    /// # Errors
    /// When it cannot, with what was seen.
    pub(crate) async fn health(&self) -> Result<()> {
        let status = self.status();
        anyhow::ensure!(status.state == ProcessState::Running, "it is {:?}", status.state);
        self.spec.health.check().await
    }

    /// Starts the process if it is stopped, with `env` on top of its variables.
    pub(crate) async fn start(&self, env: BTreeMap<String, String>) {
        self.order(Order::Start(env)).await;
    }

    /// Asks the process to end, kills it when the grace is over, and leaves it stopped.
    pub(crate) async fn stop(&self) {
        self.order(Order::Stop).await;
    }

    /// Kills the process as `kill -9` does; `restart` says whether it comes back by itself.
    pub(crate) async fn kill(&self, restart: bool) {
        self.order(Order::Kill { restart }).await;
    }

    /// Suspends the process (SIGSTOP).
    pub(crate) async fn pause(&self) {
        self.order(Order::Pause).await;
    }

    /// Resumes a suspended process (SIGCONT).
    pub(crate) async fn resume(&self) {
        self.order(Order::Resume).await;
    }

    async fn order(&self, order: Order) {
        let (done, wait) = oneshot::channel();
        if self.orders.send((order, done)).await.is_ok() {
            // An error means that the owner ended with the runtime: there is nothing left to do.
            let _ = wait.await;
        }
    }
}

/// The state of the task that owns a process.
struct Owner {
    spec: ProcessSpec,
    dirs: Dirs,
    status: Shared,
    extra_env: BTreeMap<String, String>,
    child: Option<Child>,
    started: Instant,
    backoff: Duration,
    start_at: Option<Instant>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        loop {
            let start_at = self.start_at.unwrap_or_else(Instant::now);
            tokio::select! {
                exit = exited(&mut self.child) => self.died(&exit),
                () = tokio::time::sleep_until(start_at), if self.start_at.is_some() => self.spawn(),
                order = inbox.recv() => {
                    let Some((order, done)) = order else { return };
                    self.obey(order).await;
                    // The sender of the order may have stopped waiting for it.
                    let _ = done.send(());
                }
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Start(env) => {
                self.extra_env = env;
                if self.child.is_none() {
                    self.backoff = BACKOFF_MIN;
                    self.spawn();
                }
            }
            Order::Stop => {
                self.start_at = None;
                self.end().await;
                self.set(ProcessState::Stopped, None);
            }
            Order::Kill { restart } => {
                self.signal_children(Signal::SIGCONT);
                self.signal_group(Signal::SIGKILL);
                let exit = exited_now(&mut self.child).await;
                if restart {
                    if let Some(exit) = exit {
                        self.died(&exit);
                    }
                } else {
                    self.start_at = None;
                    self.set(ProcessState::Stopped, None);
                }
            }
            Order::Pause => {
                self.signal_group(Signal::SIGSTOP);
                self.signal_children(Signal::SIGSTOP);
                self.set_if_running(ProcessState::Paused);
            }
            Order::Resume => {
                self.signal_children(Signal::SIGCONT);
                self.signal_group(Signal::SIGCONT);
                self.set_if_running(ProcessState::Running);
            }
        }
    }

    fn spawn(&mut self) {
        self.start_at = None;
        match self.try_spawn() {
            Ok(child) => {
                let pid = child.id();
                self.started = Instant::now();
                self.child = Some(child);
                self.set(ProcessState::Running, pid);
            }
            Err(error) => {
                log::note(&self.dirs.log_of(&self.spec.name), &format!("cannot start: {error:#}"));
                self.restart_later();
            }
        }
    }

    fn try_spawn(&self) -> Result<Child> {
        let log = log::open(&self.dirs.log_of(&self.spec.name))?;
        let mut command = Command::new(&self.spec.program);
        command
            .args(&self.spec.args)
            .envs(&self.spec.env)
            .envs(&self.extra_env)
            .current_dir(&self.spec.cwd)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        if let Some((uid, gid)) = self.spec.user {
            command.uid(uid).gid(gid);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", self.spec.program.display()))?;
        if let Some(pid) = child.id() {
            PidFile::write(&self.dirs, &self.spec.name, pid, self.spec.stop_signal)?;
        }
        Ok(child)
    }

    /// The process ended without an order.
    fn died(&mut self, exit: &ExitStatus) {
        self.child = None;
        // It ends one life of a process, not every one that follows.
        self.extra_env.remove("FAILPOINT");
        log::note(&self.dirs.log_of(&self.spec.name), &format!("the process ended: {exit}"));
        // Its children must not hold the port that the next one needs.
        PidFile::remove(&self.dirs, &self.spec.name);
        if self.started.elapsed() > STEADY_AFTER {
            self.backoff = BACKOFF_MIN;
        }
        self.restart_later();
    }

    fn restart_later(&mut self) {
        self.start_at = Some(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.set(ProcessState::Restarting, None);
        self.status.lock().expect("no code panics while it holds a status").restarts += 1;
    }

    /// Asks the process to end, and kills its group when it has not within the grace.
    async fn end(&mut self) {
        self.signal_children(Signal::SIGCONT);
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = child.id() {
            let pid = as_pid(pid);
            // Errors mean that it is gone already, which is what is wanted.
            let _ = kill(pid, self.spec.stop_signal);
            let _ = killpg(pid, Signal::SIGCONT);
            if tokio::time::timeout(self.spec.grace, child.wait()).await.is_err() {
                let seconds = self.spec.grace.as_secs();
                let what = format!("did not end within {seconds} s and is killed");
                log::note(&self.dirs.log_of(&self.spec.name), &what);
                let _ = killpg(pid, Signal::SIGKILL);
                let _ = child.wait().await;
            }
            let _ = killpg(pid, Signal::SIGKILL);
        }
        self.child = None;
        PidFile::remove(&self.dirs, &self.spec.name);
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id) {
            // An error means that the group is gone already.
            let _ = killpg(as_pid(pid), signal);
        }
    }

    /// Those that have a group of their own, as the backends of PostgreSQL do. They see the end of
    /// their parent themselves, unless they are suspended.
    fn signal_children(&self, signal: Signal) {
        for child in self.child.as_ref().and_then(Child::id).into_iter().flat_map(children_of) {
            // An error means that it is gone already.
            let _ = kill(as_pid(child), signal);
        }
    }

    fn set(&self, state: ProcessState, pid: Option<u32>) {
        let mut status = self.status.lock().expect("no code panics while it holds a status");
        status.state = state;
        status.pid = pid;
        status.run = pid.map(|pid| pid.to_string());
    }

    fn set_if_running(&self, state: ProcessState) {
        if self.child.is_some() {
            self.status.lock().expect("no code panics while it holds a status").state = state;
        }
    }
}

/// The exit of the child; never, while there is none.
async fn exited(child: &mut Option<Child>) -> ExitStatus {
    match child {
        Some(running) => match running.wait().await {
            Ok(exit) => exit,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Takes a child that was just killed and waits for its end.
async fn exited_now(child: &mut Option<Child>) -> Option<ExitStatus> {
    child.take()?.wait().await.ok()
}
