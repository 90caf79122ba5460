//! The replication slots of the server, which carry the outbox and the catalog.

use super::outbox::SLOT;
use sqlx::PgConnection;

/// Most slots that are told of.
const SLOTS_MAX: i64 = 16;

/// A replication slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// How much of the write-ahead log the server keeps for it.
    pub retained_bytes: f64,
    /// Whether it can be read from.
    pub is_valid: bool,
}

/// The logical slots of the server; that of the outbox also if it is missing.
///
/// # Errors
/// When the database is away.
pub(super) async fn slots(connection: &mut PgConnection) -> Result<Vec<Slot>, sqlx::Error> {
    let found: Vec<(String, f64, bool)> = sqlx::query_as(
        "SELECT slot_name::text, \
             coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::float8, \
             coalesce(wal_status, 'lost') <> 'lost' \
         FROM pg_replication_slots WHERE slot_type = 'logical' ORDER BY slot_name LIMIT $1",
    )
    .bind(SLOTS_MAX)
    .fetch_all(connection)
    .await?;
    let slot = |(name, retained_bytes, is_valid)| Slot { name, retained_bytes, is_valid };
    let mut slots: Vec<Slot> = found.into_iter().map(slot).collect();
    if slots.iter().all(|slot| slot.name != SLOT) {
        slots.push(slot((SLOT.to_owned(), 0.0, false)));
    }
    Ok(slots)
}
