//! `GET /customers` and `GET /customers/{id}/orders`.

use super::{App, checked_limit, path_id};
use crate::views::{
    ViewName,
    customer_orders::{self, CustomerOrders},
    customers::{self, Customers},
};
use axum::{Json, extract::State};
use contracts::{CustomerId, OrderId};
use serde::Deserialize;
use service_kit::{Caller, Problem, ValidPath, ValidQuery};
use utoipa::IntoParams;

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// Which customer.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct CustomerPath {
    /// The customer's id.
    #[param(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "ada")]
    id: String,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CustomersQuery {
    /// Most customers: 1 to 100, by default 20.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only those after this customer: the `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    after: Option<CustomerId>,
}

/// The customers of the catalog, by id: their names, and whether they may order
#[utoipa::path(
    get,
    path = "/customers",
    operation_id = "customers",
    params(CustomersQuery),
    responses(
        (status = 200, body = Customers),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    ValidQuery(page): ValidQuery<CustomersQuery>,
) -> Result<Json<Customers>, Problem> {
    let limit = checked_limit(page.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    app.read(&[ViewName::Customers], || customers::list(app.pool(), page.after.as_ref(), limit))
        .await
        .map(Json)
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most orders: 1 to 100, by default 20.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only those older than this order: the `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<OrderId>,
}

/// A customer's orders, newest first
///
/// The page of one without orders, or of one that there is not, is empty.
#[utoipa::path(
    get,
    path = "/customers/{id}/orders",
    operation_id = "customer_orders",
    params(CustomerPath, PageQuery),
    responses(
        (status = 200, body = CustomerOrders),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn orders(
    State(app): State<App>,
    caller: Caller,
    ValidPath(CustomerPath { id }): ValidPath<CustomerPath>,
    ValidQuery(page): ValidQuery<PageQuery>,
) -> Result<Json<CustomerOrders>, Problem> {
    let customer_id: CustomerId = path_id("id", id)?;
    if !caller.may_see(customer_id.as_str()) {
        return Err(Problem::forbidden());
    }
    let limit = checked_limit(page.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let list = || customer_orders::list(app.pool(), &customer_id, page.before, limit);
    app.read(&[ViewName::CustomerOrders], list).await.map(Json)
}
