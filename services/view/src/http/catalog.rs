//! `GET /products`, `GET /products/{sku}` and `GET /sales`.

use super::{App, checked_limit, path_id};
use crate::views::{
    BySku, ViewName,
    products::{self, ProductView, Products},
    sales::Sales,
};
use axum::{Json, extract::State};
use contracts::Sku;
use serde::Deserialize;
use service_kit::{Problem, ValidPath, ValidQuery};
use utoipa::IntoParams;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// Which product.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ProductPath {
    /// The product's sku.
    #[param(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "TEA")]
    sku: String,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most entries: 1 to 1000, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only those after this sku: the `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    after: Option<Sku>,
}

async fn list<V: BySku>(app: &App, page: &PageQuery) -> Result<Json<V>, Problem> {
    let limit = checked_limit(page.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    app.read(V::NEEDS, || V::list(app.pool(), page.after.as_ref(), limit)).await.map(Json)
}

/// The catalog with its stock, by sku
#[utoipa::path(
    get,
    path = "/products",
    params(PageQuery),
    responses(
        (status = 200, body = Products),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn products(
    State(app): State<App>,
    ValidQuery(page): ValidQuery<PageQuery>,
) -> Result<Json<Products>, Problem> {
    list(&app, &page).await
}

/// One product with its stock
#[utoipa::path(
    get,
    path = "/products/{sku}",
    params(ProductPath),
    responses(
        (status = 200, body = ProductView),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn product(
    State(app): State<App>,
    ValidPath(ProductPath { sku }): ValidPath<ProductPath>,
) -> Result<Json<ProductView>, Problem> {
    let sku: Sku = path_id("sku", sku)?;
    let product = app.read(&[ViewName::Products], || products::find(app.pool(), &sku)).await?;
    product.map(Json).ok_or_else(|| Problem::not_found(format!("the catalog has no {sku}")))
}

/// What confirmed orders have sold, by sku
#[utoipa::path(
    get,
    path = "/sales",
    params(PageQuery),
    responses(
        (status = 200, body = Sales),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sales(
    State(app): State<App>,
    ValidQuery(page): ValidQuery<PageQuery>,
) -> Result<Json<Sales>, Problem> {
    list(&app, &page).await
}
