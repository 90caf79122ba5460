//! [`Shop`]: a shop that a program starts, breaks and mends, such as a system test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, ChildStdin, Command};

use crate::control::{Reply, Request, ask};
use crate::dirs::Dirs;
use crate::log;
use crate::processes::HEALTHY_WITHIN;
use crate::state::State;
use crate::status::ProcessStatus;

/// How to start a shop.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// Kafka, registry, Connect, PostgreSQL and the mail sink only.
    pub infra_only: bool,
    /// Callers of the services need a token.
    pub auth: bool,
    /// How many instances of a service, where not one.
    pub scale: Vec<(String, u16)>,
    /// Variables of services: service, name, value.
    pub env: Vec<(String, String, String)>,
    /// How many partitions its topics have, where not three.
    pub partitions: Option<i32>,
    /// With logins, access control and TLS.
    pub secured: bool,
    /// With the page's Workshop; only a shop of processes has one.
    pub demo: bool,
    /// The folder of the shop, where not a new temporary one.
    pub dir: Option<PathBuf>,
    /// The program that keeps the shop, where not `shop`. It takes the same arguments, and leaves
    /// the same in the folder: `shop.json` when the shop is healthy, the control socket, the logs.
    pub keeper: Option<PathBuf>,
}

/// A running shop. One that was started here ends when this is dropped, even when the process dies.
#[derive(Debug)]
pub struct Shop {
    dirs: Dirs,
    state: State,
    own: Option<Own>,
}

/// A shop that we started.
#[derive(Debug)]
struct Own {
    child: Child,
    stdin: Option<ChildStdin>,
    temporary: bool,
}

impl Shop {
    /// Starts a shop on free ports and waits until it is healthy.
    ///
    /// # Errors
    /// When it does not start within three minutes, with the end of its log.
    pub async fn start(options: StartOptions) -> Result<Self> {
        let temporary = options.dir.is_none();
        let dir = options.dir.clone().unwrap_or_else(temporary_dir);
        let dirs = Dirs::create(&dir)?;
        let log = std::fs::File::create(dirs.log_of("shop"))?;
        let keeper = options.keeper.clone().map_or_else(program, Ok)?;
        let mut command = Command::new(keeper);
        command.args(["up", "--ports", "auto", "--until-stdin-closes", "--dir"]).arg(dirs.root());
        if temporary {
            // This process may end without dropping anything.
            command.arg("--forget");
        }
        if let Some(partitions) = options.partitions {
            command.args(["--partitions", &partitions.to_string()]);
        }
        if options.secured {
            command.arg("--secured");
        }
        if options.infra_only {
            command.arg("--infra-only");
        }
        if options.auth {
            command.arg("--auth");
        }
        if options.demo {
            command.arg("--demo");
        }
        for (service, instances) in &options.scale {
            command.args(["--scale", &format!("{service}={instances}")]);
        }
        for (service, key, value) in &options.env {
            command.args(["--env", &format!("{service}.{key}={value}")]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C is for the test; the shop ends by its stdin, in order.
            .process_group(0)
            .spawn()
            .context("cannot run the shop: `cargo build -p shop` makes it")?;
        let stdin = child.stdin.take();
        let mut own = Own { child, stdin, temporary };
        let state = wait_healthy(&dirs, &mut own.child).await?;
        Ok(Self { dirs, state, own: Some(own) })
    }

    /// A shop that another program started in `dir`; dropping this leaves it running.
    ///
    /// # Errors
    /// When no healthy shop is there.
    pub fn attach(dir: &Path) -> Result<Self> {
        let dirs = Dirs::at(dir);
        let state = State::read(&dirs)?;
        Ok(Self { dirs, state, own: None })
    }

    /// Where `process` is reached: a base URL, `host:port`, or a connection string
    /// (`postgres.view`).
    ///
    /// # Panics
    /// When the shop has no such process.
    #[must_use]
    pub fn url(&self, process: &str) -> &str {
        self.state.url(process).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`State::kafka_admin`].
    ///
    /// # Panics
    /// When the shop has no Kafka.
    #[must_use]
    pub fn kafka_admin(&self) -> &str {
        self.state.kafka_admin().unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`State::postgres_admin`].
    ///
    /// # Panics
    /// When the shop has no such database.
    #[must_use]
    pub fn postgres_admin(&self, database: &str) -> &str {
        self.state.postgres_admin(database).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Addresses and ports of all processes.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The log of a process so far, at most its last 64 KiB.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        log::tail(&self.dirs.log_of(name), usize::MAX).unwrap_or_default()
    }

    /// What every process does.
    ///
    /// # Errors
    /// When the shop does not answer.
    pub async fn status(&self) -> Result<Vec<ProcessStatus>> {
        self.ask(Request::Status).await?.processes()
    }

    /// Stops a process in order, until it is started again.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.ask(Request::Stop { name: name.into() }).await.map(drop)
    }

    /// Starts a stopped process and waits until it is healthy.
    ///
    /// # Errors
    /// When there is no such process, or it does not become healthy.
    pub async fn start_process(&self, name: &str) -> Result<()> {
        self.start_process_with(name, &[]).await
    }

    /// Starts a stopped process with variables on top of its own, and waits until it is healthy.
    ///
    /// # Errors
    /// When there is no such process, or it does not become healthy.
    pub async fn start_process_with(&self, name: &str, env: &[(&str, &str)]) -> Result<()> {
        let pairs = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let env: BTreeMap<String, String> = pairs.collect();
        self.ask(Request::Start { name: name.into(), env }).await.map(drop)
    }

    /// Stops a process, starts it again and waits until it is healthy.
    ///
    /// # Errors
    /// When there is no such process, or it does not become healthy.
    pub async fn restart(&self, name: &str) -> Result<()> {
        self.ask(Request::Restart { name: name.into() }).await.map(drop)
    }

    /// Kills a process as `kill -9` does; `restart` says whether it comes back by itself.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn kill(&self, name: &str, restart: bool) -> Result<()> {
        self.ask(Request::Kill { name: name.into(), restart }).await.map(drop)
    }

    /// Suspends a process.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.ask(Request::Pause { name: name.into() }).await.map(drop)
    }

    /// Resumes a suspended process.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.ask(Request::Resume { name: name.into() }).await.map(drop)
    }

    /// Runs `instances` instances of a service, and waits for new ones to be healthy.
    ///
    /// # Errors
    /// When there is no such service, or an instance does not become healthy.
    pub async fn scale(&mut self, service: &str, instances: u16) -> Result<()> {
        self.ask(Request::Scale { service: service.into(), instances }).await?;
        self.state = State::read(&self.dirs)?;
        Ok(())
    }

    /// Ends the shop in order, as `shop down` does: nothing can be asked of it any more.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn end(&self) -> Result<()> {
        self.ask(Request::Down).await.map(drop)
    }

    /// Kills the supervisor as `kill -9` does: the processes stay until `shop down` or the next
    /// `shop up`.
    ///
    /// # Errors
    /// When the shop was not started here.
    pub async fn kill_supervisor(&mut self) -> Result<()> {
        let own = self.own.as_mut().context("only who started a shop may kill it")?;
        Ok(own.child.kill().await?)
    }

    async fn ask(&self, request: Request) -> Result<Reply> {
        ask(&self.dirs.control_socket(), &request).await
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        const DEADLINE: Duration = Duration::from_secs(60);
        let Some(own) = &mut self.own else { return };
        own.stdin.take();
        let asked = Instant::now();
        while matches!(own.child.try_wait(), Ok(None)) && asked.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(20));
        }
        end_leftovers(&self.dirs);
        if std::thread::panicking() {
            eprintln!("the logs of the shop are in {}", self.dirs.logs().display());
        } else if own.temporary {
            // What cannot be removed is in the folder for temporary files.
            let _ = std::fs::remove_dir_all(self.dirs.root());
        }
    }
}

/// Ends what a killed supervisor has left; one that ended in order leaves no pid file. What cannot
/// be ended here is ended by the next `shop up` or `shop down` in the same folder.
fn end_leftovers(dirs: &Dirs) {
    let pid_files = std::fs::read_dir(dirs.run()).into_iter().flatten();
    if pid_files.flatten().next().is_some()
        && let Ok(program) = program()
    {
        let _ = std::process::Command::new(program)
            .args(["down", "--dir"])
            .arg(dirs.root())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

async fn wait_healthy(dirs: &Dirs, child: &mut Child) -> Result<State> {
    // Servers start one after the other.
    const DEADLINE: Duration = HEALTHY_WITHIN.saturating_mul(2);
    let started = Instant::now();
    loop {
        if let Ok(state) = State::read(dirs)
            && Some(state.pid) == child.id()
        {
            return Ok(state);
        }
        let exit = child.try_wait()?;
        if exit.is_some() || started.elapsed() > DEADLINE {
            let end = log::tail(&dirs.log_of("shop"), 40).unwrap_or_default();
            bail!("the shop did not start in {} s ({exit:?}):\n{end}", started.elapsed().as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The `shop` executable: beside the running test in cargo's folder, or where `SHOP_BIN` says.
///
/// # Errors
/// When it is not built.
pub fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("SHOP_BIN") {
        return Ok(program.into());
    }
    let program = std::env::current_exe()?;
    let mut folders = program.ancestors().skip(1).take(2);
    let found = folders.find_map(|dir| Some(dir.join("shop")).filter(|shop| shop.is_file()));
    found.with_context(|| {
        format!("no `shop` beside {}: run `cargo build -p shop`", program.display())
    })
}

fn temporary_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("murmuration-shop-{}-{number}", std::process::id()))
}
