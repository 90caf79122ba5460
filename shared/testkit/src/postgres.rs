//! A private Postgres for service tests, from the server binaries of this machine. Nothing of it is
//! left when the test is over, even when the test is killed.

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User};
use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

use crate::PATIENCE;

/// How often a port is chosen, as another process may take it before the server does.
const START_ATTEMPTS: u32 = 5;

/// Runs the server until stdin is closed, as it is when the test ends in whatever way, and then
/// removes the folder; `stop` on stdin keeps the folder.
const GUARD: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -p "$3" >>"$2/log" 2>&1 &
server=$!
read -r word
kill -QUIT $server
wait $server
[ "$word" = stop ] || rm -rf "$2"
"#;

/// Durability is worth nothing to a test, and costs time.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = logical
max_connections = 100
shared_buffers = 16MB
";

/// A server of its own, in a folder of its own, on a port of its own.
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    owner: Option<User>,
    port: u16,
    guard: Mutex<Option<Guard>>,
}

struct Guard {
    shell: Child,
    stdin: ChildStdin,
}

impl Postgres {
    /// Makes a database cluster and starts it.
    ///
    /// # Errors
    /// When this machine has no Postgres server, or it does not start; with its log.
    pub async fn start() -> Result<Self> {
        spawn_blocking(Self::make).await?
    }

    /// A server that the tests of this process share: the first one starts it, the last one that
    /// holds it ends it.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        spawn_blocking(|| {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = shared.upgrade() {
                return Ok(running);
            }
            let started = Arc::new(Self::make()?);
            *shared = Arc::downgrade(&started);
            Ok(started)
        })
        .await?
    }

    /// A new database called `name`; its URL.
    ///
    /// # Errors
    /// When there is one by that name, or the server has stopped.
    pub async fn database(&self, name: &str) -> Result<String> {
        let mut createdb = self.tool("createdb");
        createdb.args(["-U", "postgres", name]);
        succeeded("createdb", &spawn_blocking(move || createdb.output()).await??)?;
        Ok(self.url(name))
    }

    /// The URL of the database called `name`.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends the server as a crash does; what was committed stays.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        match self.guard.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(guard) => guard.end(b"stop\n"),
            None => Ok(()),
        }
    }

    /// Starts the server again, on the same port. Blocks for about a second, as [`Postgres::stop`].
    ///
    /// # Errors
    /// When it does not start; with its log.
    pub fn start_again(&self) -> Result<()> {
        self.serve()
    }

    fn make() -> Result<Self> {
        let bin = binaries().context("no Postgres server here; install the package postgresql")?;
        let owner = match Uid::effective().is_root() {
            // The server refuses to run as root.
            true => Some(User::from_name("postgres")?.context("there is no user postgres")?),
            false => None,
        };
        let folder = std::env::temp_dir().join(format!("testkit-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&folder)?;
        if let Some(user) = &owner {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut postgres = Self { bin, folder, owner, port: 0, guard: Mutex::default() };
        postgres.init()?;
        for attempt in 1.. {
            postgres.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            match postgres.serve() {
                Err(error) if attempt == START_ATTEMPTS => return Err(error),
                Err(_) => postgres.stop()?,
                Ok(()) => break,
            }
        }
        Ok(postgres)
    }

    fn init(&self) -> Result<()> {
        let data = self.folder.join("data");
        let mut initdb = self.command(&self.bin.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-E", "UTF8"]);
        initdb.args(["--auth=trust", "--no-locale", "--no-sync"]);
        succeeded("initdb", &initdb.output().context("initdb")?)?;
        let file = data.join("postgresql.conf");
        let settings = fs::read_to_string(&file)? + SETTINGS;
        fs::write(&file, settings).context("postgresql.conf")
    }

    fn serve(&self) -> Result<()> {
        let mut guard = self.command(Path::new("sh"));
        guard.args(["-c", GUARD, "postgres"]).arg(&self.bin).arg(&self.folder);
        guard.arg(self.port.to_string()).stdin(Stdio::piped());
        guard.stdout(Stdio::null()).stderr(Stdio::null());
        // An interrupt from the keyboard is for the test; the guard sees the test end.
        let mut shell = guard.process_group(0).spawn().context("sh")?;
        let stdin = shell.stdin.take().context("the guard has no stdin")?;
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Guard { shell, stdin });
        let started = Instant::now();
        while !self.tool("pg_isready").output()?.status.success() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let late = started.elapsed() > PATIENCE || log().contains("FATAL:  could not");
            ensure!(!late, "Postgres does not start on port {}: {}", self.port, log());
            std::thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    }

    /// A client tool that speaks to this server.
    fn tool(&self, name: &str) -> Command {
        let mut command = self.command(&self.bin.join(name));
        command.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        if let Some(user) = &self.owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let guard = self.guard.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The folder is gone with the server; if it is not, it lies where such things are swept up.
        if let Some(guard) = guard {
            let _ = guard.end(b"");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Guard {
    fn end(mut self, word: &[u8]) -> Result<()> {
        std::io::Write::write_all(&mut self.stdin, word)?;
        drop(self.stdin);
        self.shell.wait().context("the guard of Postgres")?;
        Ok(())
    }
}

/// The folder of the newest server on this machine, or of the one in `PATH`.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |bin: &PathBuf| {
        let name = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        name.and_then(|name| name.parse::<u32>().ok())
    };
    let installed = versions.map(|entry| entry.path().join("bin")).max_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = installed.into_iter().chain(std::env::split_paths(&path));
    folders.find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

fn succeeded(what: &str, output: &Output) -> Result<()> {
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what} has failed: {told}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_starts_again_with_what_it_had_and_leaves_nothing_behind() {
        let postgres = Postgres::start().await.unwrap();
        postgres.database("kept").await.unwrap();
        postgres.stop().unwrap();
        assert!(postgres.database("other").await.is_err(), "it has stopped");
        postgres.start_again().unwrap();
        assert!(postgres.database("kept").await.is_err(), "it is there already");
        let folder = postgres.folder.clone();
        drop(postgres);
        assert!(!folder.exists());
    }
}
