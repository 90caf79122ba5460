//! The limits of the server, and errors that are problems whoever made them.

use std::{any::Any, time::Duration};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::timeout::error::Elapsed;

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

async fn buffer(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    match Limited::new(&mut body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(body_too_large(bytes_max))
        }
        Err(error) => {
            let title = "The body cannot be read";
            let problem = Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", title);
            Err(problem.detail(error.to_string()))
        }
    }
}

/// `tower_http`'s own limit answers without this, and so cuts off a client that is still sending.
async fn drain(body: Body) {
    let mut rest = Limited::new(body, DRAIN_BYTES_MAX);
    while let Some(Ok(_)) = rest.frame().await {}
}

fn body_too_large(bytes_max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        .detail(format!("a request body may have at most {bytes_max} bytes"))
        .with("limit_bytes", bytes_max)
}

/// Answers 503 for a request that is one too many, or whose response did not start in time: what
/// the latter was about to do may or may not have happened.
pub(super) async fn not_admitted(error: BoxError, timeout: Duration) -> Problem {
    let problem = if error.is::<Elapsed>() {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "It took too long")
            .detail(format!("there was no answer within {timeout:?}"))
    } else {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too busy")
            .detail("too many requests are in flight")
    };
    problem.retry_after(1)
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
