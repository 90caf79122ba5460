//! Pieces of an OpenAPI document that both the routes and the whole document need.

use axum::http::StatusCode;
use utoipa::openapi::{
    Content, Ref, ResponseBuilder,
    path::{Operation, PathItem},
    response::Response as Answer,
};

use crate::problem;

/// The operations at a path, and whether each may have a body.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let reads = get.iter_mut().map(|operation| (false, operation));
    let writes = [put, post, delete, patch].into_iter().flatten();
    reads.chain(writes.map(|operation| (true, operation)))
}

/// What a problem is.
pub(crate) fn problem_content() -> Content {
    Content::new(Some(Ref::from_schema_name("Problem")))
}

/// An answer that is a problem.
pub(crate) fn problem_about(about: &str) -> Answer {
    ResponseBuilder::new()
        .description(about)
        .content(problem::CONTENT_TYPE, problem_content())
        .build()
}

/// `URI Too Long` is `URITooLong`.
pub(crate) fn name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or(status.as_str()).replace(' ', "")
}
