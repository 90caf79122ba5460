//! The customers of the catalog, by name alone.

use super::{
    Definition,
    captured::{self, upsert_statement},
    cut,
};
use crate::batch::Fresh;
use contracts::{CustomerId, catalog::CatalogCustomer, topics::CUSTOMERS};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use utoipa::ToSchema;

/// Who may order, by name alone: what else the catalog knows of a person is not for every reader.
/// One that is gone, or cannot be read, keeps its row, empty.
pub(super) const DEFINITION: Definition = Definition {
    name: "customers",
    topics: &[&CUSTOMERS.spec],
    tables: &["customers"],
    ddl: "
        CREATE TABLE customers (
            customer_id   text    PRIMARY KEY,
            customer      jsonb,
            log_partition integer NOT NULL,
            log_offset    bigint  NOT NULL,
            log_timestamp bigint  NOT NULL DEFAULT 0
        )",
    revision: 1,
    keep: None,
};

/// A page of the customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Customers {
    /// By id.
    pub customers: Vec<CustomerView>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A person who may order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerView {
    /// The customer.
    #[schema(example = "ada")]
    pub customer_id: String,
    /// What the catalog says.
    #[serde(flatten)]
    pub customer: CustomerEntry,
}

/// What the view keeps of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomerEntry {
    /// Display name.
    pub name: String,
    /// Whether they may order.
    pub active: bool,
}

impl From<&CatalogCustomer> for CustomerEntry {
    fn from(customer: &CatalogCustomer) -> Self {
        Self { name: customer.name.to_string(), active: customer.active }
    }
}

const UPSERT: &str = upsert_statement!("customers", "customer_id", "customer");

/// Show the rows; one without a customer hides what was shown.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let rows = fresh.batch.customers();
    let entry = |customer: &CatalogCustomer| CustomerEntry::from(customer);
    captured::upsert(connection, UPSERT, &rows, CustomerId::as_str, entry).await
}

const LIST: &str = "
    SELECT customer_id, customer FROM customers
    WHERE customer IS NOT NULL AND ($1::text IS NULL OR customer_id > $1)
    ORDER BY customer_id
    LIMIT $2";

/// The first `limit` customers, or those after the id `after`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    after: Option<&CustomerId>,
    limit: u32,
) -> sqlx::Result<Customers> {
    let mut rows: Vec<(String, Json<CustomerEntry>)> = sqlx::query_as(LIST)
        .bind(after.map(CustomerId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await?;
    let more = cut(&mut rows, limit);
    let view = |(customer_id, Json(customer))| CustomerView { customer_id, customer };
    let customers: Vec<_> = rows.into_iter().map(view).collect();
    let next = customers.last().filter(|_| more).map(|last| last.customer_id.clone());
    Ok(Customers { customers, next })
}
