//! The upsert of a table of rows captured from the catalog. They have no version, so their place
//! in the log is the guard, and their time where a topic with more partitions has moved them.

use crate::batch::Row;
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use std::collections::BTreeMap;

/// The statement that [`upsert`] takes, for a table with these columns for the key and the entry.
macro_rules! upsert_statement {
    ($table:literal, $key:literal, $entry:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " AS known (",
            $key,
            ", ",
            $entry,
            ",
                log_partition, log_offset, log_timestamp)
            SELECT * FROM unnest($1::text[], $2::jsonb[], $3::int[], $4::bigint[], $5::bigint[])
            ON CONFLICT (",
            $key,
            ") DO UPDATE SET ",
            $entry,
            " = excluded.",
            $entry,
            ",
                log_partition = excluded.log_partition, log_offset = excluded.log_offset,
                log_timestamp = excluded.log_timestamp
            WHERE CASE known.log_partition
                WHEN excluded.log_partition THEN known.log_offset < excluded.log_offset
                ELSE known.log_timestamp <= excluded.log_timestamp END"
        )
    };
}
pub(super) use upsert_statement;

/// Show `rows` by `statement`; one that captured nothing hides what was shown.
///
/// # Errors
/// When the database fails.
pub(super) async fn upsert<K, T, E: Serialize>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &BTreeMap<&K, Row<'_, T>>,
    key: fn(&K) -> &str,
    entry: fn(&T) -> E,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(statement)
        .bind(rows.keys().map(|id| key(id)).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.captured.map(entry).map(Json)).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.partition).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.offset).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.timestamp_ms).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
