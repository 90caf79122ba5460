//! [`Session`]: a connection for one piece of work that takes several calls.

use std::future::Future;

use sqlx::{Executor, PgConnection, Postgres, pool::PoolConnection};
use tokio::time::{Instant, timeout_at};

use super::Database;

/// A connection for one piece of work. It goes back to the pool with [`Session::release`]. If that
/// is not called, it is closed, and the server rolls back what it had open.
///
/// The whole work takes [`Settings::work_timeout`](super::Settings::work_timeout) at most, counted
/// from the wait for the connection.
#[derive(Debug)]
pub struct Session {
    database: Database,
    connection: PoolConnection<Postgres>,
    until: Instant,
    ended_well: bool,
}

impl Session {
    pub(super) async fn open(database: &Database) -> anyhow::Result<Self> {
        let (database, until) = (database.clone(), Instant::now() + database.work_timeout);
        let connection = timely(&database, until, database.pool.acquire()).await?;
        Ok(Self { database, connection, until, ended_well: false })
    }

    /// What `work` gives with the connection.
    ///
    /// # Errors
    /// Those of `work`, [judged](Database::judge), or that it took too long: then this session is
    /// of no more use, and the work is tried in a new one.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> anyhow::Result<T> {
        timely(&self.database, self.until, work(&mut self.connection)).await
    }

    /// A statement without arguments and answer.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn execute(&mut self, sql: &'static str) -> anyhow::Result<()> {
        timely(&self.database, self.until, self.connection.execute(sql)).await.map(drop)
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

/// What comes of `work`, if it comes before `until`.
async fn timely<T>(
    database: &Database,
    until: Instant,
    work: impl Future<Output = sqlx::Result<T>>,
) -> anyhow::Result<T> {
    let done = timeout_at(until, work).await.unwrap_or_else(|_| Err(database.too_late()));
    done.map_err(|error| {
        database.judge(&error);
        error.into()
    })
}
