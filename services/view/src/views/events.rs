//! The timeline as a stream: the transitions of all orders in the order of the log.

pub use crate::shapes::timeline::EventView;

use super::timeline::{Row, TransitionView};
use crate::domain::position::Position;
use contracts::{OrderId, partition};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

const AFTER: &str = "
    SELECT t.order_id, to_jsonb(t)
    FROM unnest($1::int[], $2::bigint[]) AS seen (log_partition, log_offset),
        LATERAL (SELECT * FROM timeline
                 WHERE log_partition = seen.log_partition AND log_offset > seen.log_offset
                 ORDER BY log_offset LIMIT $3) AS t
    ORDER BY t.log_partition, t.log_offset";

/// What comes after `position`: of each partition the next `limit` transitions at most, in the
/// order of its log.
///
/// # Errors
/// When the database fails.
pub async fn after(pool: &PgPool, position: &Position, limit: u32) -> sqlx::Result<Vec<EventView>> {
    let (partitions, offsets) = position.seen();
    let rows: Vec<(Uuid, Json<Row>)> = sqlx::query_as(AFTER)
        .bind(partitions)
        .bind(offsets)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?;
    let event = |(order_id, Json(row))| EventView {
        order_id: OrderId(order_id),
        transition: TransitionView::from(row),
    };
    Ok(rows.into_iter().map(event).collect())
}

const END: &str = "
    SELECT p, (SELECT max(log_offset) FROM timeline WHERE log_partition = p)
    FROM generate_series(0, $1 - 1) AS p";

/// The position after all that is shown.
///
/// # Errors
/// When the database fails.
pub async fn end(pool: &PgPool) -> sqlx::Result<Position> {
    let ends: Vec<(i32, Option<i64>)> =
        sqlx::query_as(END).bind(partition::count()).fetch_all(pool).await?;
    Ok(position(ends))
}

const BEFORE_LATEST: &str = "
    WITH latest AS (
        SELECT t.log_partition, t.log_offset
        FROM generate_series(0, $1 - 1) AS p,
            LATERAL (SELECT log_partition, log_offset, occurred_at FROM timeline
                     WHERE log_partition = p ORDER BY log_offset DESC LIMIT $2) AS t
        ORDER BY t.occurred_at DESC LIMIT $2)
    SELECT p, coalesce(
        (SELECT min(log_offset) - 1 FROM latest WHERE log_partition = p),
        (SELECT max(log_offset) FROM timeline WHERE log_partition = p))
    FROM generate_series(0, $1 - 1) AS p";

/// The position before the latest `count` transitions, by the times at which they occurred.
///
/// # Errors
/// When the database fails.
pub async fn before_latest(pool: &PgPool, count: u32) -> sqlx::Result<Position> {
    let starts: Vec<(i32, Option<i64>)> = sqlx::query_as(BEFORE_LATEST)
        .bind(partition::count())
        .bind(i64::from(count))
        .fetch_all(pool)
        .await?;
    Ok(position(starts))
}

fn position(offsets: Vec<(i32, Option<i64>)>) -> Position {
    let mut position = Position::default();
    for (partition, offset) in offsets {
        position.advance(partition, offset.unwrap_or(-1));
    }
    position
}
