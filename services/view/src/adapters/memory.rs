//! The memory: what the view itself must know of the log, apart from what it shows. No operator can
//! drop it. Each transition that was taken is there with its place, so a rebuild takes the same
//! records as the view has taken, and no others.

use crate::{
    batch::{Arrived, Transition},
    domain::history::{History, Known},
};
use contracts::{OrderId, Status};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What was taken of these orders.
pub(super) async fn histories(
    connection: &mut PgConnection,
    orders: &BTreeSet<OrderId>,
) -> sqlx::Result<BTreeMap<OrderId, History>> {
    const KNOWN: &str = "
        SELECT order_id, version, status, fingerprint FROM memory WHERE order_id = ANY($1)";
    let ids: Vec<Uuid> = orders.iter().map(|order_id| order_id.0).collect();
    let rows: Vec<(Uuid, i64, String, Uuid)> =
        sqlx::query_as(KNOWN).bind(ids).fetch_all(connection).await?;
    let mut steps: BTreeMap<OrderId, Vec<(i64, Known)>> = BTreeMap::new();
    for (order_id, version, status, fingerprint) in rows {
        let known = Status::ALL.into_iter().find(|known| known.as_str() == status);
        let unknown = || sqlx::Error::Decode(format!("{status:?} is no status").into());
        let known = Known { status: known.ok_or_else(unknown)?, fingerprint };
        steps.entry(OrderId(order_id)).or_default().push((version, known));
    }
    Ok(steps.into_iter().map(|(order_id, steps)| (order_id, History::of(steps))).collect())
}

/// Take `next`; gives those that no other instance has taken in the meantime.
pub(super) async fn take<'a>(
    connection: &mut PgConnection,
    next: Vec<Transition<'a>>,
) -> sqlx::Result<Vec<Transition<'a>>> {
    // In the order of the key, so that two instances never wait for each other.
    const INSERT: &str = "
        INSERT INTO memory (order_id, version, status, fingerprint, log_partition, log_offset)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::int[],
            $6::bigint[])
        ORDER BY 1, 2
        ON CONFLICT (order_id, version) DO NOTHING
        RETURNING order_id, version";
    if next.is_empty() {
        return Ok(next);
    }
    let taken: Vec<(Uuid, i64)> = sqlx::query_as(INSERT)
        .bind(next.iter().map(|one| one.order.order_id.0).collect::<Vec<_>>())
        .bind(next.iter().map(|one| one.order.version).collect::<Vec<_>>())
        .bind(next.iter().map(|one| one.order.status.as_str()).collect::<Vec<_>>())
        .bind(next.iter().map(|one| one.fingerprint).collect::<Vec<_>>())
        .bind(next.iter().map(|one| one.record.partition).collect::<Vec<_>>())
        .bind(next.iter().map(|one| one.record.offset).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let taken: BTreeSet<(Uuid, i64)> = taken.into_iter().collect();
    let is_ours = |one: &Transition<'_>| taken.contains(&(one.order.order_id.0, one.order.version));
    Ok(next.into_iter().filter(is_ours).collect())
}

/// Those of `read` that the view has taken: not the repeated and not the impossible ones.
pub(crate) async fn taken<'a>(
    connection: &mut PgConnection,
    read: Vec<Transition<'a>>,
) -> sqlx::Result<Vec<Transition<'a>>> {
    const PLACES: &str = "
        SELECT log_partition, log_offset FROM public.memory
        JOIN unnest($1::uuid[], $2::bigint[]) AS read (order_id, version)
            USING (order_id, version)";
    if read.is_empty() {
        return Ok(read);
    }
    let places: Vec<(i32, i64)> = sqlx::query_as(PLACES)
        .bind(read.iter().map(|one| one.order.order_id.0).collect::<Vec<_>>())
        .bind(read.iter().map(|one| one.order.version).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let places: BTreeSet<(i32, i64)> = places.into_iter().collect();
    let is_taken =
        |one: &Transition<'_>| places.contains(&(one.record.partition, one.record.offset));
    Ok(read.into_iter().filter(is_taken).collect())
}

/// Remember how far the records of a batch lead.
pub(super) async fn advance(
    connection: &mut PgConnection,
    arrived: &[Arrived],
) -> sqlx::Result<()> {
    const UPSERT: &str = "
        INSERT INTO positions AS known (topic, log_partition, next_offset)
        SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
        ON CONFLICT (topic, log_partition) DO UPDATE SET
            next_offset = greatest(known.next_offset, excluded.next_offset)";
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for Arrived { record, .. } in arrived {
        next.insert((&*record.topic, record.partition), record.offset + 1);
    }
    if next.is_empty() {
        return Ok(());
    }
    sqlx::query(UPSERT)
        .bind(next.keys().map(|(topic, _)| *topic).collect::<Vec<_>>())
        .bind(next.keys().map(|(_, partition)| *partition).collect::<Vec<_>>())
        .bind(next.values().copied().collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

/// How far each partition has been applied.
pub(crate) async fn positions(
    connection: &mut PgConnection,
) -> sqlx::Result<BTreeMap<(String, i32), i64>> {
    const ALL: &str = "SELECT topic, log_partition, next_offset FROM public.positions";
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(ALL).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(topic, partition, next)| ((topic, partition), next)).collect())
}
