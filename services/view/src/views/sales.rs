//! The sales of confirmed orders, per product. A sum has no version to guard it. It counts an order
//! exactly once, because the memory takes each transition once, in the same SQL transaction, and
//! nothing follows a confirmation.

use super::{Amount, BySku, Definition, ViewName, products};
use crate::batch::Fresh;
use contracts::{Order, Sku, Status, topics::ORDERS};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

/// Revenue is numeric: a sum without a bound.
pub(super) const DEFINITION: Definition = Definition {
    name: "sales",
    topics: &[&ORDERS.spec],
    tables: &["sales"],
    ddl: "
        CREATE TABLE sales (
            sku           text    NOT NULL,
            currency      text    NOT NULL,
            orders        bigint  NOT NULL,
            quantity      bigint  NOT NULL,
            revenue_minor numeric NOT NULL,
            PRIMARY KEY (sku, currency)
        )",
    revision: 1,
    keep: None,
};

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

/// Add the orders that have become confirmed.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let taken = fresh.taken.iter().map(|taken| taken.order);
    let orders: Vec<&Order> = taken.filter(|order| order.status == Status::Confirmed).collect();
    if orders.is_empty() {
        return Ok(());
    }
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
    SELECT sku, currency, orders, quantity, least(revenue_minor, 9223372036854775807)::bigint
    FROM sales
    WHERE $1::text IS NULL OR sku > $1
    ORDER BY sku
    FETCH FIRST ($2) ROWS WITH TIES";

impl BySku for Sales {
    const NEEDS: &[ViewName] = &[ViewName::Sales];

    /// `limit` rows, and the other currencies of the last one.
    async fn list(pool: &PgPool, after: Option<&Sku>, limit: u32) -> sqlx::Result<Self> {
        let rows: Vec<(String, String, i64, i64, i64)> = sqlx::query_as(LIST)
            .bind(after.map(Sku::as_str))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?;
        let is_full = rows.len() >= limit as usize;
        let skus: Vec<String> = rows.iter().map(|(sku, ..)| sku.clone()).collect();
        let names = products::names(pool, &skus).await?;
        let view = |(sku, currency, orders, quantity, amount_minor): (String, _, _, _, _)| {
            let revenue = Amount { amount_minor, currency };
            let name = names.get(&sku).cloned();
            SalesView { sku, name, orders, quantity, revenue }
        };
        let sales: Vec<_> = rows.into_iter().map(view).collect();
        let next = sales.last().filter(|_| is_full).map(|row| row.sku.clone());
        Ok(Self { sales, next })
    }
}
