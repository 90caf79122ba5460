//! The OpenAPI document of a service, made from its handlers.

use axum::{Router, body::Bytes, http::header, routing::get};
use utoipa::openapi::OpenApi;

/// `GET /openapi.json`, written once and then served from memory.
///
/// # Errors
/// Fails if the document cannot be written as JSON, which would be a fault of its author.
pub fn router(document: &OpenApi) -> anyhow::Result<Router> {
    let json = Bytes::from(document.to_pretty_json()?);
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], json) };
    Ok(Router::new().route("/openapi.json", get(answer)))
}
