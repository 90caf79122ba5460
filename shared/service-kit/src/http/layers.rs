//! The limits of the server, and errors that are problems whoever made them.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;

use crate::problem::Problem;

/// How much of a body that is too large is read and thrown away, so that the client, which is
/// still sending, gets to read the answer instead of a connection reset.
const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest plain text that becomes the detail of a problem.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// Reads the body whole, so that the limit holds for every handler, however it reads.
pub(super) async fn read_body(
    State(bytes_max): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let declared = body.size_hint().lower();
    if declared > bytes_max as u64 && awaits_permission(&parts.headers) {
        // The client has not sent the body yet, and now will not.
        return body_too_large(bytes_max).into_response();
    }
    match buffer(body, bytes_max).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(problem) => problem.into_response(),
    }
}

fn awaits_permission(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes() == b"100-continue")
}

async fn buffer(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut kept = Vec::new();
    let mut total = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "The body cannot be read")
                .detail(error.to_string())
        })?;
        total += chunk.len();
        if total <= bytes_max {
            kept.extend_from_slice(&chunk);
        } else {
            kept = Vec::new();
        }
        if total > bytes_max.saturating_add(DRAIN_BYTES_MAX) {
            break;
        }
    }
    if total > bytes_max { Err(body_too_large(bytes_max)) } else { Ok(kept.into()) }
}

fn body_too_large(bytes_max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        .detail(format!("a request body may have at most {bytes_max} bytes"))
        .with("limit_bytes", bytes_max)
}

/// Answers 503 when the response does not start in time. What the request was about to do may or
/// may not have happened.
pub(super) async fn limit_time(
    State(timeout): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "It took too long")
            .detail(format!("there was no answer within {timeout:?}"))
            .retry_after(1)
            .into_response(),
    }
}

/// Sheds load at once rather than queueing what will be too late anyway.
pub(super) async fn limit_in_flight(
    State(in_flight): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_permit) = in_flight.try_acquire() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too busy")
            .detail("too many requests are in flight")
            .retry_after(1)
            .into_response();
    };
    next.run(request).await
}

/// Answers 500 for a handler that panicked. The panic hook has logged what and where.
pub(super) fn panicked(_payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong here")
        .into_response()
}

/// Turns errors that axum made, empty or in plain text, into problems.
pub(super) async fn every_error_is_a_problem(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || !is_bare(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let detail = match status {
        StatusCode::NOT_FOUND if text.is_empty() => format!("there is nothing at {path}"),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not answer to {method}"),
        _ => String::from_utf8_lossy(&text).into_owned(),
    };
    let title = status.canonical_reason().unwrap_or("Error");
    let mut problem = Problem::new(status, code_of(status), title);
    if !detail.is_empty() {
        problem = problem.detail(detail);
    }
    let (made, body) = problem.into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(made.headers);
    Response::from_parts(parts, body)
}

/// Whether an error has no body, or a plain text one.
fn is_bare(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().starts_with(b"text/plain");
    headers.get(header::CONTENT_TYPE).is_none_or(plain)
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid_request",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_client_error() => "bad_request",
        _ => "internal_error",
    }
}
