//! The catalog with its stock: two sources, each in its own table and with its own guard. Rows of
//! the catalog have none of their own ([`captured`]); stock levels have a version.

use super::{
    Amount, BySku, Definition, ViewName,
    captured::{self, upsert_statement},
    cut, is_missing,
};
use crate::batch::Fresh;
use contracts::{
    Sku,
    catalog::Product,
    topics::{PRODUCTS, STOCK},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A table for each source, so that neither order of arrival matters. A product that is gone keeps
/// its row, empty, and its stock.
pub(super) const DEFINITION: Definition = Definition {
    name: "products",
    topics: &[&PRODUCTS.spec, &STOCK.spec],
    tables: &["products", "stock"],
    ddl: "
        CREATE TABLE products (
            sku           text    PRIMARY KEY,
            product       jsonb,
            log_partition integer NOT NULL,
            log_offset    bigint  NOT NULL,
            log_timestamp bigint  NOT NULL DEFAULT 0
        );
        CREATE TABLE stock (
            sku       text   PRIMARY KEY,
            on_hand   bigint NOT NULL,
            reserved  bigint NOT NULL,
            available bigint NOT NULL,
            version   bigint NOT NULL
        )",
    revision: 1,
    keep: None,
};

/// A page of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Products {
    /// By sku.
    pub products: Vec<ProductView>,
    /// What to pass as `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// A product with its stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProductView {
    /// The product.
    #[schema(example = "TEA")]
    pub sku: String,
    /// What the catalog says.
    #[serde(flatten)]
    pub product: CatalogEntry,
    /// Pieces in the house; 0 if inventory has not counted any.
    pub on_hand: i64,
    /// Pieces held for orders that are not settled.
    pub reserved: i64,
    /// Pieces that can still be promised.
    pub available: i64,
}

/// What the catalog says of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogEntry {
    /// Display name.
    pub name: String,
    /// A sentence about it.
    pub description: String,
    /// Price of one piece.
    pub price: Amount,
    /// An emoji or an inline SVG.
    pub picture: String,
    /// Whether it can be ordered.
    pub active: bool,
}

impl From<&Product> for CatalogEntry {
    fn from(product: &Product) -> Self {
        Self {
            name: product.name.to_string(),
            description: product.description.to_string(),
            price: Amount::from(&product.price()),
            picture: product.picture.to_string(),
            active: product.active,
        }
    }
}

const UPSERT_PRODUCTS: &str = upsert_statement!("products", "sku", "product");

/// Show rows and levels; a row without a product hides what was shown.
pub(super) async fn fold(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let rows = fresh.batch.products();
    let entry = |product: &Product| CatalogEntry::from(product);
    captured::upsert(connection, UPSERT_PRODUCTS, &rows, Sku::as_str, entry).await?;
    fold_stock(connection, fresh).await
}

const UPSERT_STOCK: &str = "
    INSERT INTO stock AS known (sku, on_hand, reserved, available, version)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, reserved = excluded.reserved,
        available = excluded.available, version = excluded.version
    WHERE known.version < excluded.version";

async fn fold_stock(connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
    let levels = fresh.batch.stock();
    if levels.is_empty() {
        return Ok(());
    }
    sqlx::query(UPSERT_STOCK)
        .bind(levels.keys().map(|sku| sku.as_str()).collect::<Vec<_>>())
        .bind(levels.values().map(|level| level.on_hand).collect::<Vec<_>>())
        .bind(levels.values().map(|level| level.reserved).collect::<Vec<_>>())
        .bind(levels.values().map(|level| level.available).collect::<Vec<_>>())
        .bind(levels.values().map(|level| level.version).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

type Shown = (String, Json<CatalogEntry>, i64, i64, i64);

fn view((sku, Json(product), on_hand, reserved, available): Shown) -> ProductView {
    ProductView { sku, product, on_hand, reserved, available }
}

const LIST: &str = "
    SELECT sku, product, coalesce(on_hand, 0), coalesce(reserved, 0), coalesce(available, 0)
    FROM products LEFT JOIN stock USING (sku)
    WHERE product IS NOT NULL AND ($1::text IS NULL OR sku > $1)
    ORDER BY sku
    LIMIT $2";

impl BySku for Products {
    const NEEDS: &[ViewName] = &[ViewName::Products];

    /// The first `limit` products, or those after the sku `after`.
    async fn list(pool: &PgPool, after: Option<&Sku>, limit: u32) -> sqlx::Result<Self> {
        let mut rows: Vec<Shown> = sqlx::query_as(LIST)
            .bind(after.map(Sku::as_str))
            .bind(i64::from(limit) + 1)
            .fetch_all(pool)
            .await?;
        let more = cut(&mut rows, limit);
        let products: Vec<_> = rows.into_iter().map(view).collect();
        let next = products.last().filter(|_| more).map(|product| product.sku.clone());
        Ok(Self { products, next })
    }
}

const FIND: &str = "
    SELECT sku, product, coalesce(on_hand, 0), coalesce(reserved, 0), coalesce(available, 0)
    FROM products LEFT JOIN stock USING (sku)
    WHERE product IS NOT NULL AND sku = $1";

/// The names of those of `skus` that the catalog has; none at all while there is no such view.
pub(super) async fn names(
    pool: &PgPool,
    skus: &[String],
) -> sqlx::Result<BTreeMap<String, String>> {
    const NAMES: &str =
        "SELECT sku, product ->> 'name' FROM products WHERE product IS NOT NULL AND sku = ANY($1)";
    match sqlx::query_as(NAMES).bind(skus).fetch_all(pool).await {
        Ok(rows) => Ok(rows.into_iter().collect()),
        Err(error) if is_missing(&error) => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// One product; none if the catalog has none.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, sku: &Sku) -> sqlx::Result<Option<ProductView>> {
    let row: Option<Shown> = sqlx::query_as(FIND).bind(sku.as_str()).fetch_optional(pool).await?;
    Ok(row.map(view))
}
