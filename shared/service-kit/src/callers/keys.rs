//! The keys of the issuer: read from a file or an address, kept while that is away, and asked for
//! again when a token names a key that is not known yet.

use std::{
    fmt::{self, Display},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use tokens::KeySet;
use tokio::{
    io::AsyncReadExt,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::fetch::fetch;
use crate::{Backoff, health::Readiness, run::Shutdown};

/// Longest JWK Set, in bytes: 64 keys of RSA with certificates.
const SET_BYTES_MAX: usize = 512 * 1024;
/// How often a file is read again.
const FILE_EVERY: Duration = Duration::from_secs(5);
/// Between two readings because of keys that are not known: their ids are the callers' to invent.
const ASKED_FOR_EVERY: Duration = Duration::from_secs(2);
/// How long a request waits for a key that is not known.
const PATIENCE: Duration = Duration::from_secs(1);
/// Delays while the keys cannot be read.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Where the keys come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A file, read again as it changes.
    File(PathBuf),
    /// An address, read again after a time; and the file with the authority of its certificate,
    /// where that is not one of the system's.
    Url { url: String, ca_file: Option<PathBuf>, every: Duration },
}

/// The keys that are known. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: watch::Sender<Known>,
    /// A request has named a key that is not known.
    wanted: Notify,
}

#[derive(Debug, Clone, Default)]
struct Known {
    keys: Arc<KeySet>,
    /// When they were read, or tried to be.
    read_at: Option<Instant>,
    /// The last try has failed: the issuer may have others by now.
    may_be_old: bool,
}

impl Keys {
    /// Those in `keys`; none if [`Keys::keep`] is to read them.
    pub(super) fn new(keys: KeySet) -> Self {
        let known = Known { keys: Arc::new(keys), ..Known::default() };
        Self(Arc::new(Inner { known: watch::Sender::new(known), wanted: Notify::new() }))
    }

    /// The keys, with the one of this id among them if the issuer has it: one that is not known is
    /// waited for, for a moment. None if nothing says at the moment whether the issuer has it.
    pub(super) async fn with(&self, id: &str) -> Option<Arc<KeySet>> {
        let mut news = self.0.known.subscribe();
        let Known { keys, read_at, may_be_old } = news.borrow_and_update().clone();
        let is_fresh = read_at.is_some_and(|at| at.elapsed() < ASKED_FOR_EVERY);
        if keys.has(id) || is_fresh {
            return (keys.has(id) || !may_be_old).then_some(keys);
        }
        self.0.wanted.notify_one();
        let later = news.wait_for(|known| known.keys.has(id) || known.read_at != read_at);
        match timeout(PATIENCE, later).await {
            Ok(Ok(known)) if known.keys.has(id) || !known.may_be_old => {
                Some(Arc::clone(&known.keys))
            }
            // Keys that are never read are all that there are.
            Ok(Ok(_) | Err(_)) | Err(_) => read_at.is_none().then_some(keys),
        }
    }

    /// Reads the keys again and again, until `shutdown`.
    pub(super) async fn keep(
        self,
        source: Source,
        check: Readiness,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let mut outage = Outage::new(&source);
        loop {
            let Some(read) = shutdown.run_until_cancelled(source.read()).await else {
                return Ok(());
            };
            let read_at = Instant::now();
            let pause = match read {
                Ok(keys) => {
                    outage.over(&check, keys.len());
                    self.learn(Some(keys));
                    source.every()
                }
                Err(error) => {
                    let has_none = self.0.known.borrow().keys.is_empty();
                    self.learn(None);
                    outage.goes_on(&check, &error, has_none)
                }
            };
            let wait = async {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = async {
                        self.0.wanted.notified().await;
                        tokio::time::sleep_until(read_at + ASKED_FOR_EVERY.min(pause)).await;
                    } => {}
                }
            };
            if shutdown.run_until_cancelled(wait).await.is_none() {
                return Ok(());
            }
        }
    }

    /// The set that was read counts whole: a key that is not in it any more is withdrawn.
    fn learn(&self, keys: Option<KeySet>) {
        self.0.known.send_modify(|known| {
            known.read_at = Some(Instant::now());
            known.may_be_old = keys.is_none();
            if let Some(keys) = keys {
                known.keys = Arc::new(keys);
            }
        });
    }
}

impl Source {
    fn every(&self) -> Duration {
        match self {
            Self::File(_) => FILE_EVERY,
            Self::Url { every, .. } => *every,
        }
    }

    async fn read(&self) -> anyhow::Result<KeySet> {
        let bytes = match self {
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await.context("it cannot be opened")?;
                let mut bytes = Vec::new();
                file.take(SET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
                bytes
            }
            Self::Url { url, ca_file, .. } => fetch(url, ca_file.as_deref(), SET_BYTES_MAX).await?,
        };
        ensure!(bytes.len() <= SET_BYTES_MAX, "it has more than {SET_BYTES_MAX} bytes");
        Ok(KeySet::parse(&bytes)?)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}

/// How long the keys cannot be read, in the words of log and check.
struct Outage {
    outage: crate::Outage,
    backoff: Backoff,
    told: Option<usize>,
}

impl Outage {
    fn new(source: &Source) -> Self {
        let outage = crate::Outage::new("the keys of callers", source);
        Self { outage, backoff: Backoff::new(RETRY.0, RETRY.1), told: None }
    }

    fn over(&mut self, check: &Readiness, keys: usize) {
        self.outage.recovered();
        self.backoff.reset();
        check.up();
        if self.told.replace(keys) != Some(keys) {
            tracing::info!(keys, "callers are known by the keys of their issuer");
        }
    }

    /// Without a key, no caller can be known; with some, those who are known stay so.
    fn goes_on(&mut self, check: &Readiness, error: &anyhow::Error, has_none: bool) -> Duration {
        let detail = self.outage.failed(format_args!("{error:#}"));
        match has_none {
            true => check.down(detail),
            false => check.degraded(format!("{detail}; the keys from before stay in use")),
        }
        self.backoff.next()
    }
}
