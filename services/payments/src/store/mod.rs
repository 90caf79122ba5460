//! The database: one transaction per batch of decisions, and few statements per transaction.

pub mod changes;
pub mod offsets;
pub mod outbox;
pub mod payments;
pub mod report;

use crate::migrations::MIGRATIONS;
use sqlx::{
    PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;

/// Most connections of one instance.
const CONNECTIONS_MAX: u32 = 8;

/// How long to wait for a connection; the caller waits longer, with backoff.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to the database that are made when they are needed, so that it may be away now.
///
/// A lock is not waited for longer than 5 s, and an instance that freezes within a transaction is
/// cut off after 15 s: nothing that one instance does can hold up the others for good.
pub fn connect(options: &PgConnectOptions) -> PgPool {
    let options = options.clone().application_name("payments").options([
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("client_min_messages", "warning"),
    ]);
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options)
}

/// Makes the tables, or brings them up to date. Instances that start together take turns.
///
/// # Errors
/// When the database is away, or was migrated by a later version of this program.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATIONS.run(pool).await
}

/// `text` without the one character that Postgres cannot keep in a text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
