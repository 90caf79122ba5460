//! Inventory over HTTP: one command, and the document that describes it.

mod restock;

use axum::Router;
use contracts::{Sku, catalog::Product, owns::Inventory};
use service_kit::openapi;
use streams::GlobalTable;
use streams_kafka::Sender;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// The products that there are.
    pub products: GlobalTable<Sku, Product>,
    /// Where commands go.
    pub commands: Sender<Inventory>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "inventory",
    description = "Takes goods in. All else that changes stock arrives over Kafka."
))]
struct Api;

/// The routes, with their document at `/openapi.json` and `/docs`.
///
/// # Errors
/// Fails if the document cannot be written as JSON, which a test rules out.
pub fn router(app: App) -> anyhow::Result<Router> {
    let (routes, _) = api().split_for_parts();
    Ok(routes.with_state(app).merge(openapi::router(&document())?))
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    openapi::complete(api().into_openapi())
}

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi()).routes(routes!(restock::restock))
}
