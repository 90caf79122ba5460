//! Lines of the ledger: payments writes them and never changes them.

use crate::database::LedgerEntry;
use sqlx::PgConnection;

/// Writes the lines.
///
/// # Errors
/// When the database is away, or the same thing has been booked before. That each booking sums up
/// to zero is checked at the commit.
pub(super) async fn insert(
    tx: &mut PgConnection,
    entries: &[LedgerEntry],
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ledger_entries (order_id, kind, account, amount_minor, currency, at_ms) \
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], \
             $6::bigint[])",
    )
    .bind(entries.iter().map(|entry| entry.order_id.0).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.account.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.amount_minor).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.currency.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.at.millis()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
