//! [`Postgres`]: the database of payments. Few statements per transaction, and each transaction
//! locks rows in the same order, which prevents deadlocks.

mod ledger;
mod migrations;
mod offsets;
mod outbox;
mod payments;
pub mod report;
mod slots;

pub use slots::Slot;

use crate::database::{Agenda, ChangeSet, DbError, PaymentsDb, PaymentsTx, Place, Position, Rows};
use contracts::{OrderId, Timestamp};
use migrations::MIGRATIONS;
use report::{Balance, PaymentReport};
use service_kit::Problem;
use service_kit::postgres::{Database, Fault, Session, Settings, SynchronousCommit};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// What is asked of the sessions. Money that was moved must be there after a crash of the server,
/// and nothing that one instance does may hold up the others for good.
pub const SETTINGS: Settings = Settings {
    connections_max: 8,
    acquire_timeout: Duration::from_secs(5),
    statement_timeout: Duration::from_secs(8),
    work_timeout: Duration::from_secs(10),
    ..Settings::new("payments", SynchronousCommit::On)
};

/// The database of payments. Connects when it is used; clones share the connections.
#[derive(Debug, Clone)]
pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// The database behind `options`, wherever it may be at the moment. Call it within a runtime.
    pub fn new(options: &PgConnectOptions) -> Self {
        Self::with(options, SETTINGS)
    }

    /// The same with other limits.
    pub fn with(options: &PgConnectOptions, settings: Settings) -> Self {
        Self { database: Database::new(options, settings) }
    }

    /// Makes the tables, or brings them up to date. Instances that start together take turns.
    ///
    /// # Errors
    /// When the database is away, or was migrated by a later version of this program.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        self.database.migrate(&MIGRATIONS).await
    }

    /// Whether it is there and can be written.
    ///
    /// # Errors
    /// When it is away or read-only.
    pub async fn check_writable(&self) -> anyhow::Result<()> {
        self.database.check_writable().await
    }

    /// The answer to a client whose question has failed with `error`.
    pub fn problem(&self, error: &anyhow::Error) -> Problem {
        self.database.problem(error)
    }

    /// The payment of `order_id`, if there is one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn payment(&self, order_id: OrderId) -> Result<Option<PaymentReport>, DbError> {
        read(|| self.run(async |connection| report::payment(connection, order_id).await)).await
    }

    /// The sums of all accounts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn balance(&self) -> Result<Balance, DbError> {
        read(|| self.run(async |connection| report::balance(connection).await)).await
    }

    /// The replication slots of its server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn slots(&self) -> Result<Vec<Slot>, DbError> {
        self.run(async |connection| slots::slots(connection).await).await
    }

    /// What `work` gives, on a connection of its own.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        let mut session = self.database.session().await?;
        let worked = session.run(work).await?;
        session.release();
        Ok(worked)
    }
}

/// What `look` reads. If its session was of no more use, it looks once more in a new one.
async fn read<T, F>(look: impl Fn() -> F) -> Result<T, DbError>
where
    F: Future<Output = Result<T, DbError>>,
{
    match look().await {
        Err(DbError::Away(error)) if Fault::of(error.as_ref()) == Fault::Session => look().await,
        read => read,
    }
}

impl PaymentsDb for Postgres {
    type Tx<'a> = PostgresTx;

    async fn claim_partitions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        self.run(async |connection| offsets::claim(connection, places).await).await
    }

    async fn begin(&mut self) -> Result<PostgresTx, DbError> {
        let mut session = self.database.session().await?;
        session.execute("BEGIN").await?;
        Ok(PostgresTx(session))
    }

    async fn agenda(&mut self, now: Timestamp) -> Result<Agenda, DbError> {
        self.run(async |connection| payments::agenda(connection, now).await).await
    }

    async fn claim_due(
        &mut self,
        limit: usize,
        token: Uuid,
        lease: Duration,
    ) -> Result<Rows, DbError> {
        self.run(async |connection| payments::claim_due(connection, limit, token, lease).await)
            .await
    }

    async fn resend(&mut self, limit: u32) -> Result<u64, DbError> {
        self.run(async |connection| outbox::resend(connection, limit).await).await
    }

    async fn prune_outbox(&mut self, retention: Duration, limit: u32) -> Result<u64, DbError> {
        self.run(async |connection| outbox::prune(connection, retention, limit).await).await
    }
}

/// A transaction on a connection of its own, which is closed unless it is committed.
pub struct PostgresTx(Session);

impl PaymentsTx for PostgresTx {
    async fn lock_positions(
        &mut self,
        places: &[Place],
    ) -> Result<BTreeMap<Place, Position>, DbError> {
        Ok(self.0.run(async |connection| offsets::lock(connection, places).await).await?)
    }

    async fn lock_payments(&mut self, orders: &[OrderId]) -> Result<Rows, DbError> {
        Ok(self.0.run(async |connection| payments::lock(connection, orders).await).await?)
    }

    async fn lock_claimed(&mut self, claims: &[(OrderId, Uuid)]) -> Result<Rows, DbError> {
        Ok(self.0.run(async |connection| payments::lock_claimed(connection, claims).await).await?)
    }

    async fn lock_expired(&mut self, now: Timestamp, limit: usize) -> Result<Rows, DbError> {
        let lock = async |connection: &mut PgConnection| {
            payments::lock_expired(connection, now, limit).await
        };
        Ok(self.0.run(lock).await?)
    }

    async fn write(&mut self, changes: ChangeSet) -> Result<(), DbError> {
        let ChangeSet { rows, entries, outbox, returned, aside } = changes;
        let write = async |connection: &mut PgConnection| {
            payments::upsert(connection, &rows).await?;
            ledger::insert(connection, &entries).await?;
            outbox::insert(connection, &outbox).await?;
            outbox::returned(connection, &returned).await?;
            payments::set_aside(connection, &aside).await
        };
        Ok(self.0.run(write).await?)
    }

    async fn advance(&mut self, positions: &BTreeMap<Place, Position>) -> Result<usize, DbError> {
        let advance =
            async |connection: &mut PgConnection| offsets::advance(connection, positions).await;
        Ok(self.0.run(advance).await? as usize)
    }

    async fn commit(mut self) -> Result<(), DbError> {
        self.0.execute("COMMIT").await?;
        self.0.release();
        Ok(())
    }
}

/// `text` without the one character that Postgres cannot keep in a text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl From<anyhow::Error> for DbError {
    fn from(error: anyhow::Error) -> Self {
        match Fault::of(error.as_ref()) {
            Fault::Refused => Self::Refused(error),
            Fault::Transient | Fault::Session | Fault::Defect => Self::Away(error),
        }
    }
}
