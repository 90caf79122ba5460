//! Whose an order is, for who may see it alone.

use super::ViewName;
use contracts::OrderId;
use sqlx::PgPool;

/// The views that the answer is taken from.
pub const NEEDS: &[ViewName] = &[ViewName::Orders, ViewName::Refusals];

/// The id of the customer, also of one whose order was refused; none if nothing is known of the
/// order.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, order_id: OrderId) -> sqlx::Result<Option<String>> {
    const FIND: &str = "
        SELECT coalesce(
            (SELECT customer_id FROM orders WHERE order_id = $1),
            (SELECT min(customer_id) FROM refusals WHERE order_id = $1))";
    sqlx::query_scalar(FIND).bind(order_id.0).fetch_one(pool).await
}
