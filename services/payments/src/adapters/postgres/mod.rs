//! [`Postgres`]: the database of payments. Few statements per transaction, and each transaction
//! locks rows in the same order, so that none waits for one that waits for it.

mod ledger;
mod migrations;
mod offsets;
mod outbox;
mod payments;
pub mod report;
pub mod session;

use crate::database::{Agenda, ChangeSet, DbError, PaymentsDb, PaymentsTx, Place, Position, Rows};
use contracts::{OrderId, Timestamp};
use migrations::MIGRATIONS;
use report::{Balance, PaymentReport};
use session::Session;
use sqlx::{PgPool, postgres::PgConnectOptions};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Most connections of one instance.
const CONNECTIONS_MAX: u32 = 8;

/// Longest time for a transaction, from asking for a connection to its commit.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The database of payments. Connects when it is used; clones share the connections.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
    limit: Duration,
}

impl Postgres {
    /// The database behind `options`, wherever it may be at the moment. Call it within a runtime.
    pub fn new(options: &PgConnectOptions) -> Self {
        let pool = session::pool(options, "payments", CONNECTIONS_MAX);
        Self { pool, limit: TRANSACTION_TIMEOUT }
    }

    /// The same with another longest time for a transaction.
    pub fn limited_to(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Makes the tables, or brings them up to date. Instances that start together take turns.
    ///
    /// # Errors
    /// When the database is away, or was migrated by a later version of this program.
    pub async fn migrate(&self) -> Result<(), DbError> {
        session::migrate(&self.pool, &MIGRATIONS).await
    }

    /// The payment of `order_id`, if there is one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn payment(&self, order_id: OrderId) -> Result<Option<PaymentReport>, DbError> {
        self.run(async |connection| report::payment(connection, order_id).await).await
    }

    /// The sums of all accounts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn balance(&self) -> Result<Balance, DbError> {
        self.run(async |connection| report::balance(connection).await).await
    }

    /// What `work` gives, on a connection of its own.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, DbError> {
        let mut session = Session::open(&self.pool, self.limit).await?;
        let worked = session.run(work).await?;
        session.release();
        Ok(worked)
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
        let mut session = Session::open(&self.pool, self.limit).await?;
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
        self.0.run(async |connection| offsets::lock(connection, places).await).await
    }

    async fn lock_payments(&mut self, orders: &[OrderId]) -> Result<Rows, DbError> {
        self.0.run(async |connection| payments::lock(connection, orders).await).await
    }

    async fn lock_claimed(&mut self, claims: &[(OrderId, Uuid)]) -> Result<Rows, DbError> {
        self.0.run(async |connection| payments::lock_claimed(connection, claims).await).await
    }

    async fn lock_expired(&mut self, now: Timestamp, limit: usize) -> Result<Rows, DbError> {
        self.0.run(async |connection| payments::lock_expired(connection, now, limit).await).await
    }

    async fn write(&mut self, changes: ChangeSet) -> Result<(), DbError> {
        let ChangeSet { rows, entries, outbox, aside } = changes;
        let write = async |connection: &mut sqlx::PgConnection| {
            payments::upsert(connection, &rows).await?;
            ledger::insert(connection, &entries).await?;
            outbox::insert(connection, &outbox).await?;
            payments::set_aside(connection, &aside).await
        };
        self.0.run(write).await
    }

    async fn advance(&mut self, positions: &BTreeMap<Place, Position>) -> Result<usize, DbError> {
        let advance = async |connection: &mut sqlx::PgConnection| {
            offsets::advance(connection, positions).await
        };
        self.0.run(advance).await.map(|advanced| advanced as usize)
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
