//! The Postgres of a service: where it is, connections with a limit on everything, and what an
//! error means. Behind the feature `postgres`.
//!
//! A session can outlive its usefulness: it was opened while the database was read-only, it holds
//! plans of tables that have changed, or its other end has silently died. So callers report errors
//! to [`Database::judge`]: after a [`Fault::Session`], the pool drops every session that is older
//! than the error. No service needs a restart.
//!
//! sqlx 0.9 sets no `SO_KEEPALIVE` and no `TCP_USER_TIMEOUT` on its sockets. The server is asked to
//! probe its side of each connection, and our side has time limits: [`Database::within`].

mod fault;
mod migrations;
mod session;

pub use fault::{Fault, message};
pub use migrations::migrator;
pub use session::Session;

use std::{
    error::Error,
    fs,
    future::Future,
    io::{self, ErrorKind},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::Problem;

/// A session that was idle for longer is tried before it is used: its server may have been
/// restarted. One in steady use is not, so that a read is a single round trip.
const IDLE_UNTRIED_MAX: Duration = Duration::from_secs(1);

/// Longest wait for an answer to that trial.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// When the server finds out that our end of a connection is gone: 10 s of silence, then 3 probes.
/// What that session has locked is free again.
const KEEPALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
    // The same for sent data that the peer has not acknowledged.
    ("tcp_user_timeout", "25s"),
];

/// Longest time to bring the tables up to date.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// What a service asks of its connections.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Name of the service, as `pg_stat_activity` shows it.
    pub application_name: &'static str,
    /// Whether a commit is on disk when it is answered, whatever the server's default is.
    pub synchronous_commit: SynchronousCommit,
    /// Most connections of one instance.
    pub connections_max: u32,
    /// Longest wait for a connection; also how long a reader waits for a server that is down.
    pub acquire_timeout: Duration,
    /// Longest time for one statement, counted by the server.
    pub statement_timeout: Duration,
    /// Longest wait for one lock, counted by the server.
    pub lock_timeout: Duration,
    /// Longest silence within a transaction before the server ends the session: an instance that
    /// freezes holds its locks for this long.
    pub idle_in_transaction_timeout: Duration,
    /// Longest time for a piece of work, from the wait for its connection to the commit.
    pub work_timeout: Duration,
}

/// Whether a commit is on disk when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynchronousCommit {
    /// What was answered is there after a crash of the server.
    On,
    /// A crash of the server loses the last moments: only for what can be made again.
    Off,
}

impl Settings {
    /// The limits that fit a service with short transactions: 10 connections; 3 s for a
    /// connection, 10 s for a statement, 5 s for a lock, 15 s for the whole, or in silence.
    pub const fn new(application_name: &'static str, commit: SynchronousCommit) -> Self {
        Self {
            application_name,
            synchronous_commit: commit,
            connections_max: 10,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(15),
            work_timeout: Duration::from_secs(15),
        }
    }

    /// `options` with what is asked of each session; it counts more than what the URL says.
    fn apply_to(&self, options: &PgConnectOptions) -> PgConnectOptions {
        let ms = |limit: Duration| format!("{}ms", limit.as_millis());
        let limits = [
            ("statement_timeout", ms(self.statement_timeout)),
            ("lock_timeout", ms(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", ms(self.idle_in_transaction_timeout)),
        ];
        let commit = match self.synchronous_commit {
            SynchronousCommit::On => "on",
            SynchronousCommit::Off => "off",
        };
        options
            .clone()
            .application_name(self.application_name)
            .options(limits)
            .options(KEEPALIVE)
            .options([("synchronous_commit", commit), ("client_min_messages", "warning")])
    }
}

/// Value parser for the URL of a database. The message of an error shows no part of the text, as
/// there may be a password in it.
///
/// # Errors
/// Says what a URL looks like when the text is not one.
pub fn database_url(text: &str) -> Result<PgConnectOptions, String> {
    let form = "expected a URL such as postgres://user:password@127.0.0.1:5433/name";
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(form.to_owned());
    }
    text.parse().map_err(|error| format!("{error}; {form}"))
}

/// `options` with the password in `file`, if there is one: the file has the password and nothing
/// else.
///
/// # Errors
/// When the file cannot be read, or has none; the message names the setting.
pub fn with_password(
    options: &PgConnectOptions,
    file: Option<&Path>,
) -> anyhow::Result<PgConnectOptions> {
    let Some(file) = file else { return Ok(options.clone()) };
    let no_use = || {
        let what = format!("the password of `{}`", options.get_username());
        format!("DATABASE_PASSWORD_FILE: no use of {}, which should have {what}", file.display())
    };
    let password = fs::read_to_string(file).with_context(no_use)?;
    let password = password.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "{}: it is empty", no_use());
    Ok(options.clone().password(password))
}

/// Where a database is, without user and password: `host:port/name`.
pub fn place(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(folder) => format!("{}:{}/{name}", folder.display(), options.get_port()),
        None => format!("{}:{}/{name}", options.get_host(), options.get_port()),
    }
}

/// A database, wherever it may be at the moment: connections are made when they are needed. Clones
/// share them.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    place: Arc<str>,
    application_name: &'static str,
    work_timeout: Duration,
    trust: Trust,
    /// What the last check has found.
    read_only: Arc<AtomicBool>,
}

impl Database {
    /// The database behind `options`. Call it within a runtime.
    pub fn new(options: &PgConnectOptions, settings: Settings) -> Self {
        let trust = Trust::new();
        let (before, after) = (trust.clone(), trust.clone());
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max)
            .acquire_timeout(settings.acquire_timeout)
            // The watch of the database logs an outage once.
            .acquire_slow_threshold(settings.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(move |session, known| {
                let trusted = before.holds(known.age);
                let is_fresh = known.idle_for <= IDLE_UNTRIED_MAX;
                Box::pin(async move { Ok(trusted && (is_fresh || answers(session).await)) })
            })
            // The driver's own trial has no time limit, and keeps the session's place in the pool.
            .after_release(move |session, known| {
                let trusted = after.holds(known.age);
                Box::pin(async move { Ok(trusted && answers(session).await) })
            })
            .connect_lazy_with(settings.apply_to(options));
        Self {
            pool,
            place: place(options).into(),
            application_name: settings.application_name,
            work_timeout: settings.work_timeout,
            trust,
            read_only: Arc::default(),
        }
    }

    /// The connections. Bring every error to [`Database::judge`].
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where the database is, without user and password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What `error` means. After a [`Fault::Session`] no session of today is used again.
    pub fn judge(&self, error: &(dyn Error + 'static)) -> Fault {
        let fault = Fault::of(error);
        if fault == Fault::Session {
            self.trust.end();
        }
        fault
    }

    /// `work`, for [`Settings::work_timeout`] at most. What it leaves open then is thrown away with
    /// its session, as a connection that has died in silence would be waited for again.
    ///
    /// # Errors
    /// Those of `work`, [judged](Database::judge); a [`Fault::Transient`] when it took too long:
    /// then whether it has committed is not known.
    pub async fn within<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
    {
        let mut work = pin!(work);
        let Ok(done) = timeout(self.work_timeout, &mut work).await else {
            // Before `work` is dropped and gives its session back.
            self.trust.end();
            return Err(self.too_late().into());
        };
        done.map_err(|error| {
            let error = error.into();
            self.judge(error.as_ref());
            error
        })
    }

    /// A connection for one piece of work that takes several calls, such as a transaction.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn session(&self) -> anyhow::Result<Session> {
        Session::open(self).await
    }

    /// Makes the tables, or brings them up to date, within ten minutes. Instances that start
    /// together take turns.
    ///
    /// # Errors
    /// When the database is away, or was migrated by a later version of the program.
    pub async fn migrate(&self, migrator: &Migrator) -> anyhow::Result<()> {
        // A table that is large takes its time, so this is on a connection of its own.
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        let options = options.options([("statement_timeout", "0")]);
        let alone = self.pool.options().clone().max_connections(1).connect_lazy_with(options);
        let migrated = timeout(MIGRATION_TIMEOUT, migrator.run(&alone)).await;
        alone.close().await;
        let migrated = migrated.context("the tables are not made in time")?;
        migrated.context("the tables cannot be made")
    }

    /// What `look` reads, [within](Database::within) the time for a piece of work. If its session
    /// was useless, it looks once more in a new one: to read twice does no harm.
    ///
    /// # Errors
    /// As [`Database::within`].
    pub async fn read<T, E, F>(&self, look: impl Fn() -> F) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
        F: Future<Output = Result<T, E>>,
    {
        match self.within(look()).await {
            Err(error) if Fault::of(error.as_ref()) == Fault::Session => self.within(look()).await,
            result => result,
        }
    }

    /// Whether new sessions can write, for the health check of a writer. A standby is read-only as
    /// well: there, `transaction_read_only` is on whatever is set.
    ///
    /// # Errors
    /// When the database is away or read-only. As long as it is, and once after it, no session of
    /// today is used again: one that was opened then would stay read-only for its whole life.
    pub async fn check_writable(&self) -> anyhow::Result<()> {
        const READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::bool";
        let look = || sqlx::query_scalar(READ_ONLY).fetch_one(&self.pool);
        let read_only: bool = self.read(look).await?;
        let was_read_only = self.read_only.swap(read_only, Ordering::Relaxed);
        if read_only || was_read_only {
            self.trust.end();
        }
        ensure!(!read_only, "the database is read-only");
        Ok(())
    }

    /// The answer to the client: an unavailable database is not our error.
    pub fn problem(&self, error: &anyhow::Error) -> Problem {
        match Fault::of(error.as_ref()) {
            Fault::Transient | Fault::Session => {
                tracing::debug!("Postgres at {}: {error:#}", self.place);
                Problem::unavailable(format!("the database of {} is away", self.application_name))
            }
            Fault::Refused | Fault::Defect => Problem::internal(error),
        }
    }

    fn too_late(&self) -> sqlx::Error {
        let limit = self.work_timeout.as_secs_f64();
        io::Error::new(ErrorKind::TimedOut, format!("no answer within {limit} s")).into()
    }
}

/// Until when sessions were opened that are not used again.
#[derive(Debug, Clone)]
struct Trust {
    start: Instant,
    /// Nanoseconds since `start`; 0 as long as every session is trusted.
    ended: Arc<AtomicU64>,
}

impl Trust {
    fn new() -> Self {
        Self { start: Instant::now(), ended: Arc::default() }
    }

    /// No session that is open now is trusted any more.
    fn end(&self) {
        self.ended.fetch_max(nanos(self.start.elapsed()).max(1), Ordering::Relaxed);
    }

    /// Whether a session of this age is trusted.
    fn holds(&self, age: Duration) -> bool {
        let opened = nanos(self.start.elapsed().saturating_sub(age));
        let ended = self.ended.load(Ordering::Relaxed);
        ended == 0 || opened > ended
    }
}

/// 584 years of them fit.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether what was asked of the session before has come to its end, and in time.
async fn answers(session: &mut PgConnection) -> bool {
    matches!(timeout(PING_TIMEOUT, session.ping()).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_checked_and_a_place_has_no_password() {
        let options = database_url("postgres://shop:secret@db.example:5444/payments").unwrap();
        assert_eq!(place(&options), "db.example:5444/payments");
        let socket = database_url("postgres://shop@localhost/view?host=/run/postgresql").unwrap();
        assert_eq!(place(&socket), "/run/postgresql:5432/view");
        for bad in ["mysql://me:secret@db/x", "db/secret", "postgres://me:secret@db:port/x"] {
            let message = database_url(bad).unwrap_err();
            assert!(message.contains("postgres://user:password@"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn sessions_are_trusted_until_the_error_and_those_after_it() {
        let trust = Trust::new();
        assert!(trust.holds(Duration::from_secs(60)));
        trust.end();
        assert!(!trust.holds(Duration::from_secs(60)));
        assert!(trust.holds(Duration::ZERO), "one that is opened now");
    }
}
