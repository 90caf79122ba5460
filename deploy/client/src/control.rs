//! The control socket: one JSON request per line, one JSON reply per line.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::status::ProcessStatus;

/// The keeper of a shop: it handles the requests of the control socket.
pub trait Keeper: Send + Sync + 'static {
    /// Does what is asked; a failure is a reply as well.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// What can be asked of a running shop. `name` is a service (all its instances), one instance
/// (`orders-0`, `orders-1`), or `kafka`, `registry`, `connect`, `postgres`, `mail`, `bank`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// What every process does.
    Status,
    /// End the shop.
    Down,
    /// Stop a process in order, until it is started again.
    Stop {
        /// Which process.
        name: String,
    },
    /// Start a stopped process, with these variables on top of its own.
    Start {
        /// Which process.
        name: String,
        /// The variables.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// Stop and start a process.
    Restart {
        /// Which process.
        name: String,
    },
    /// Kill a process as `kill -9` does.
    Kill {
        /// Which process.
        name: String,
        /// Whether it comes back by itself.
        restart: bool,
    },
    /// Suspend a process.
    Pause {
        /// Which process.
        name: String,
    },
    /// Resume a suspended process.
    Resume {
        /// Which process.
        name: String,
    },
    /// Run this many instances of a service.
    Scale {
        /// Which service.
        service: String,
        /// How many, 1 to 9.
        instances: u16,
    },
}

/// What a running shop answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done,
    /// What every process does.
    Processes(Vec<ProcessStatus>),
    /// It could not be done, and why.
    Error(String),
}

impl Reply {
    /// The processes, in the answer to [`Request::Status`].
    ///
    /// # Errors
    /// When it is another answer.
    pub fn processes(self) -> Result<Vec<ProcessStatus>> {
        match self {
            Self::Processes(processes) => Ok(processes),
            other => bail!("not a status: {other:?}"),
        }
    }
}

/// Listens on `path`, for this user only. Requests are served until the runtime ends.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, keeper: Arc<impl Keeper>) -> Result<()> {
    // A socket file of a shop that was killed: the lock says that no shop serves it.
    let _ = std::fs::remove_file(path);
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(answer(stream, Arc::clone(&keeper)));
        }
    });
    Ok(())
}

/// Answers one connection, until its other end closes it.
async fn answer(stream: UnixStream, keeper: Arc<impl Keeper>) -> Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(request) => keeper.handle(request).await,
            Err(error) => Reply::Error(format!("not a request: {error}")),
        };
        let mut bytes = serde_json::to_vec(&reply)?;
        bytes.push(b'\n');
        writer.write_all(&bytes).await?;
    }
    Ok(())
}

/// Sends one request to the shop that listens on `path`.
///
/// # Errors
/// When no process listens there, or the shop answers with an error.
pub async fn ask(path: &Path, request: &Request) -> Result<Reply> {
    let stream = UnixStream::connect(path).await.with_context(|| {
        format!("no shop runs here ({} does not answer): `./shop up` starts one", path.display())
    })?;
    let (reader, mut writer) = stream.into_split();
    let mut bytes = serde_json::to_vec(request)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await?;
    let line = BufReader::new(reader).lines().next_line().await?;
    let line = line.context("the shop ended before it answered")?;
    match serde_json::from_str(&line)? {
        Reply::Error(error) => bail!(error),
        reply => Ok(reply),
    }
}
