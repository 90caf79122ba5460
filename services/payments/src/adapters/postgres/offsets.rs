//! Offsets with an epoch per partition: the new owner of a partition fences the former owner.

use crate::database::{Place, Position};
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;

/// Takes the partitions over: from now on only an instance that knows the answered epochs may write
/// for them.
///
/// # Errors
/// When the database is away.
pub(super) async fn claim(
    connection: &mut PgConnection,
    places: &[Place],
) -> Result<BTreeMap<Place, Position>, sqlx::Error> {
    // In order, so that two instances that claim at the same time do not block each other.
    let sorted: BTreeMap<Place, ()> = places.iter().map(|place| (place.clone(), ())).collect();
    let (topics, partitions): (Vec<String>, Vec<i32>) = sorted.into_keys().unzip();
    let rows = sqlx::query(
        "INSERT INTO consumer_offsets AS known (topic, partition, next_offset, epoch) \
         SELECT topic, partition, 0, 1 \
         FROM unnest($1::text[], $2::int[]) AS given (topic, partition) \
         ON CONFLICT (topic, partition) DO UPDATE SET epoch = known.epoch + 1 \
         RETURNING topic, partition, next_offset, epoch",
    )
    .bind(topics)
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    rows.iter().map(position).collect()
}

/// The positions of `places`, locked until the transaction ends: no instance can claim them
/// meanwhile.
///
/// # Errors
/// When the database is away.
pub(super) async fn lock(
    tx: &mut PgConnection,
    places: &[Place],
) -> Result<BTreeMap<Place, Position>, sqlx::Error> {
    let (topics, partitions): (Vec<String>, Vec<i32>) = places.iter().cloned().unzip();
    let rows = sqlx::query(
        "SELECT topic, partition, next_offset, epoch FROM consumer_offsets \
         WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[])) \
         ORDER BY topic, partition FOR UPDATE",
    )
    .bind(topics)
    .bind(partitions)
    .fetch_all(tx)
    .await?;
    rows.iter().map(position).collect()
}

/// Moves the partitions on, where the epoch is still ours; how many it was.
///
/// # Errors
/// When the database is away.
pub(super) async fn advance(
    tx: &mut PgConnection,
    positions: &BTreeMap<Place, Position>,
) -> Result<u64, sqlx::Error> {
    let (topics, partitions): (Vec<String>, Vec<i32>) = positions.keys().cloned().unzip();
    let (offsets, epochs): (Vec<i64>, Vec<i64>) =
        positions.values().map(|position| (position.next_offset, position.epoch)).unzip();
    let advanced = sqlx::query(
        "UPDATE consumer_offsets AS known SET next_offset = given.next_offset \
         FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) \
             AS given (topic, partition, next_offset, epoch) \
         WHERE known.topic = given.topic AND known.partition = given.partition \
             AND known.epoch = given.epoch",
    )
    .bind(topics)
    .bind(partitions)
    .bind(offsets)
    .bind(epochs)
    .execute(tx)
    .await?;
    Ok(advanced.rows_affected())
}

fn position(row: &sqlx::postgres::PgRow) -> Result<(Place, Position), sqlx::Error> {
    let place = (row.try_get("topic")?, row.try_get("partition")?);
    let position =
        Position { next_offset: row.try_get("next_offset")?, epoch: row.try_get("epoch")? };
    Ok((place, position))
}
