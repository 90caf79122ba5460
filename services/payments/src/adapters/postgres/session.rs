//! [`Session`]: a connection for one piece of work, which has a time limit, and which must end well
//! if the connection is to be used again.
//!
//! Some failures stay with a connection: a cached plan that no longer fits its table (SQLSTATE
//! 0A000), a server that has become read-only (25006), a peer that is gone without a word. The next
//! one to take it from the pool would fail in the same way, for ever.

use crate::database::DbError;
use anyhow::Context;
use sqlx::{
    Connection, Executor, PgPool,
    migrate::Migrator,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// How long to wait for a connection; the caller waits longer, with backoff.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time to bring the tables up to date.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A connection that has been idle for longer is tried before it is used: its server may have been
/// restarted. One in steady use is not, so that it costs no round trip.
const IDLE_UNTRIED_MAX: Duration = Duration::from_secs(1);

/// What holds in every session, whatever the defaults of the server are: nothing that one instance
/// does can hold up the others for good, and what was committed is on the disk.
const SETTINGS: [(&str, &str); 9] = [
    ("synchronous_commit", "on"),
    // No statement of ours is slow, unless it waits for something that is stuck.
    ("statement_timeout", "8s"),
    ("lock_timeout", "5s"),
    // An instance that freezes within a transaction is cut off, and its locks are free.
    ("idle_in_transaction_session_timeout", "15s"),
    // So is one whose machine is gone; they count for TCP alone.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25s"),
    ("client_min_messages", "warning"),
];

/// Connections to the database that are made when they are needed, so that it may be away now;
/// `connections_max` at most. `application` is how the server knows us.
pub fn pool(options: &PgConnectOptions, application: &str, connections_max: u32) -> PgPool {
    let options = options.clone().application_name(application).options(SETTINGS);
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                let is_trusted = idle.idle_for <= IDLE_UNTRIED_MAX;
                Ok(is_trusted || connection.ping().await.is_ok())
            })
        })
        .connect_lazy_with(options)
}

/// A connection for one piece of work. It goes back to the pool with [`Session::release`]; if that
/// is not called, it is closed.
pub struct Session {
    connection: PoolConnection<sqlx::Postgres>,
    until: Instant,
    ended_well: bool,
}

impl Session {
    /// A connection of `pool`, for work that takes `limit` at most.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open(pool: &PgPool, limit: Duration) -> Result<Self, DbError> {
        let until = Instant::now() + limit;
        let connection = timely(until, pool.acquire()).await?;
        Ok(Self { connection, until, ended_well: false })
    }

    /// What `work` gives with the connection, unless it takes too long.
    ///
    /// # Errors
    /// When the database is away, or refuses it.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        timely(self.until, work(&mut self.connection)).await
    }

    /// A statement without arguments and answer.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn execute(&mut self, sql: &'static str) -> Result<(), DbError> {
        timely(self.until, self.connection.execute(sql)).await.map(drop)
    }

    /// The work has ended well.
    pub fn release(mut self) {
        self.ended_well = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ended_well {
            self.connection.close_on_drop();
        }
    }
}

/// Makes the tables, or brings them up to date. Instances that start together take turns.
///
/// # Errors
/// When the database is away, or was migrated by a later version of the program.
pub async fn migrate(pool: &PgPool, migrator: &Migrator) -> Result<(), DbError> {
    // A table that is large takes its time, so this is on a connection of its own.
    let options = PgConnectOptions::clone(&pool.connect_options());
    let options = options.options([("statement_timeout", "0")]);
    let alone = pool.options().clone().max_connections(1).connect_lazy_with(options);
    let migrated = timeout(MIGRATION_TIMEOUT, migrator.run(&alone)).await;
    alone.close().await;
    let migrated = migrated.context("the tables are not made in time").map_err(DbError::Away)?;
    migrated.map_err(|error| sqlx::Error::from(error).into())
}

/// What comes of `work`, if it comes before `until`.
async fn timely<T>(
    until: Instant,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, DbError> {
    let worked = timeout_at(until, work).await.context("the database does not answer in time");
    worked.map_err(DbError::Away)?.map_err(DbError::from)
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        // Classes 22 and 23: data that it cannot take, a constraint that holds.
        let refused = code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"));
        if refused { Self::Refused(error.into()) } else { Self::Away(error.into()) }
    }
}
