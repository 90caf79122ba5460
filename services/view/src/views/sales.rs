//! The sales of confirmed orders, per product. A sum has no version to guard it. It counts an order
//! exactly once, because the view adds only orders whose row has become confirmed in the same SQL
//! transaction.

use super::{Amount, BySku};
use contracts::{Order, Sku};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

/// A page of the sales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sales {
    /// By sku.
    pub sales: Vec<SalesView>,
    /// What to pass as `after` for the next page; null after the last one.
    pub next: Option<String>,
}

/// What has been sold of a product, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SalesView {
    /// The product.
    pub sku: String,
    /// Its name now, if the catalog has it.
    pub name: Option<String>,
    /// Confirmed orders with the product.
    pub orders: i64,
    /// Pieces in them.
    pub quantity: i64,
    /// What was paid for the pieces.
    pub revenue: Amount,
}

// Rows are taken in the order of the key, so that two instances never wait for each other.
const ADD: &str = "
    INSERT INTO sales AS known (sku, currency, orders, quantity, revenue_minor)
    SELECT sku, currency, count(*), sum(quantity), sum(revenue_minor)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
        AS sold (sku, currency, quantity, revenue_minor)
    GROUP BY sku, currency
    ORDER BY sku, currency
    ON CONFLICT (sku, currency) DO UPDATE SET
        orders = known.orders + excluded.orders,
        quantity = known.quantity + excluded.quantity,
        revenue_minor = known.revenue_minor + excluded.revenue_minor";

/// Add `orders`, which have become confirmed in this SQL transaction.
///
/// # Errors
/// When the database fails.
pub async fn add(connection: &mut PgConnection, orders: &[&Order]) -> sqlx::Result<()> {
    let lines = || orders.iter().flat_map(|order| order.lines.iter().map(move |l| (*order, l)));
    sqlx::query(ADD)
        .bind(lines().map(|(_, line)| line.sku.as_str()).collect::<Vec<_>>())
        .bind(lines().map(|(order, _)| order.total.currency.as_str()).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| i64::from(line.quantity)).collect::<Vec<_>>())
        .bind(lines().map(|(_, line)| line.total_minor()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

const LIST: &str = "
    SELECT sku, product ->> 'name', currency, orders, quantity,
        least(revenue_minor, 9223372036854775807)::bigint
    FROM sales LEFT JOIN products USING (sku)
    WHERE $1::text IS NULL OR sku > $1
    ORDER BY sku
    FETCH FIRST ($2) ROWS WITH TIES";

impl BySku for Sales {
    /// `limit` rows, and the other currencies of the last one.
    async fn list(pool: &PgPool, after: Option<&Sku>, limit: u32) -> sqlx::Result<Self> {
        let rows: Vec<(String, Option<String>, String, i64, i64, i64)> = sqlx::query_as(LIST)
            .bind(after.map(Sku::as_str))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?;
        let is_full = rows.len() >= limit as usize;
        let view = |(sku, name, currency, orders, quantity, amount_minor)| {
            let revenue = Amount { amount_minor, currency };
            SalesView { sku, name, orders, quantity, revenue }
        };
        let sales: Vec<_> = rows.into_iter().map(view).collect();
        let next = sales.last().filter(|_| is_full).map(|row| row.sku.clone());
        Ok(Self { sales, next })
    }
}
