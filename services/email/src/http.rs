//! Email over HTTP: how it is, and the document that says so.

use service_kit::{Guarded, Routes, openapi};
use utoipa::{OpenApi, openapi::OpenApi as Document};

#[derive(OpenApi)]
#[openapi(info(
    title = "email",
    description = "Mails customers. It answers no question but how it is: the view shows orders."
))]
struct Api;

/// The document at `/openapi.json` and `/docs`.
///
/// # Errors
/// Fails if it cannot be written, which a test rules out.
pub fn router() -> anyhow::Result<Guarded> {
    openapi::router(&document())
}

/// The OpenAPI document of this service.
pub fn document() -> Document {
    openapi::complete(Routes::<()>::new(Api::openapi()).document())
}
