//! The books over HTTP, read-only, for auditors and operators. Customers ask the view.

use crate::{
    adapters::{
        Postgres,
        postgres::report::{Balance, PaymentReport},
    },
    database::DbError,
};
use axum::{Json, extract::State};
use contracts::OrderId;
use service_kit::{Access, Guarded, Problem, Routes, ValidPath, openapi, telemetry::about_order};
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::routes;
use uuid::Uuid;

#[derive(OpenApi)]
#[openapi(info(title = "payments", description = "The books of the shop, read-only."))]
struct Api;

/// The routes over `database`, with their document at `/openapi.json` and `/docs`.
///
/// # Errors
/// When the OpenAPI document cannot be written.
pub fn router(database: Postgres) -> anyhow::Result<Guarded> {
    Ok(api().guarded(database).merge(openapi::router(&document())?))
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    openapi::complete(api().document())
}

fn api() -> Routes<Postgres> {
    Routes::new(Api::openapi())
        .with(Access::Staff, routes!(payment))
        .with(Access::Staff, routes!(balance))
}

/// The state of an order's payment, with its ledger entries.
#[utoipa::path(get, path = "/payments/{order_id}",
    params(("order_id" = String, Path, format = "uuid")),
    responses((status = 200, body = PaymentReport), (status = 404), (status = 503)))]
async fn payment(
    State(database): State<Postgres>,
    ValidPath(order_id): ValidPath<Uuid>,
) -> Result<Json<PaymentReport>, Problem> {
    about_order(order_id);
    let found =
        database.payment(OrderId(order_id)).await.map_err(|error| problem(&database, error))?;
    let nothing = || Problem::not_found(format!("there is no payment for order {order_id}"));
    found.map(Json).ok_or_else(nothing)
}

/// The balance of every account, and how many payments there are of each status.
#[utoipa::path(get, path = "/ledger/balance",
    responses((status = 200, body = Balance), (status = 503)))]
async fn balance(State(database): State<Postgres>) -> Result<Json<Balance>, Problem> {
    database.balance().await.map(Json).map_err(|error| problem(&database, error))
}

fn problem(database: &Postgres, error: DbError) -> Problem {
    let (DbError::Refused(error) | DbError::Away(error)) = error;
    database.problem(&error)
}
