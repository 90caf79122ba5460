//! Inventory over HTTP: one command, and the document that describes it.

mod restock;

use contracts::{Sku, catalog::Product, owns::Inventory};
use service_kit::{Access, Guarded, Routes, openapi};
use streams::GlobalTable;
use streams_kafka::Sender;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::routes;

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
pub fn router(app: App) -> anyhow::Result<Guarded> {
    Ok(api().guarded(app).merge(openapi::router(&document())?))
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    openapi::complete(api().document())
}

fn api() -> Routes<App> {
    Routes::new(Api::openapi()).with(Access::Staff, routes!(restock::restock))
}
