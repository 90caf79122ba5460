//! What waits where: the open orders, by the status in which they wait. From the orders and their
//! timeline.

use super::{ViewName, order::OPEN};
use contracts::{OrderId, Status};
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// The views that the answer is taken from.
pub const NEEDS: &[ViewName] = &[ViewName::Orders, ViewName::Timeline];

/// An order whose baton has not moved for so many seconds is late.
pub const LATE_SECONDS: i64 = 5;

/// What waits where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Batons {
    /// What waits for longer is late: the question `stuck-orders` names each such order.
    late_after_ms: i64,
    /// The statuses in which orders wait, in the order of the baton table; empty if none waits.
    batons: Vec<BatonView>,
}

/// The orders that wait in one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatonView {
    /// In which they wait.
    #[schema(example = "validated")]
    status: &'static str,
    /// The service that has their baton: it alone may write what happens next.
    #[schema(example = "payments")]
    holder: &'static str,
    /// How many they are.
    orders: i64,
    /// The one that has waited for longest.
    #[schema(value_type = String, format = "uuid")]
    oldest: OrderId,
    /// How long, in milliseconds, by the clocks of Postgres and of who wrote its last transition.
    waiting_ms: i64,
}

/// What waits where now.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool) -> sqlx::Result<Batons> {
    let sql = format!(
        "SELECT o.status, count(*), (array_agg(o.order_id ORDER BY t.occurred_at, o.order_id))[1],
            greatest(0, (extract(epoch FROM now()) * 1000)::bigint - min(t.occurred_at))
        FROM orders o JOIN timeline t USING (order_id, version)
        WHERE o.{OPEN}
        GROUP BY o.status"
    );
    let found: Vec<(String, i64, Uuid, i64)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await?;
    let row = |status: Status| {
        let (_, orders, oldest, waiting_ms) =
            found.iter().find(|(found, ..)| found == status.as_str())?;
        Some(BatonView {
            status: status.as_str(),
            holder: status.holder()?.as_str(),
            orders: *orders,
            oldest: OrderId(*oldest),
            waiting_ms: *waiting_ms,
        })
    };
    let batons = Status::ALL.into_iter().filter_map(row).collect();
    Ok(Batons { late_after_ms: LATE_SECONDS * 1000, batons })
}
