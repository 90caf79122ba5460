//! The limits of the server, and all errors as problems.

use std::{any::Any, time::Duration};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use tower::timeout::error::Elapsed;

use super::Limits;
use crate::problem::Problem;

/// How much of a body that is too large is read and thrown away, so that the client, which is
/// still sending, gets to read the answer instead of a connection reset.
const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest target of a request (path and query), in bytes.
const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of names and values of headers, and most headers.
const HEADERS_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;

/// Longest plain text that becomes the detail of a problem.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// Refuses heads that are too large, or do not say for which host they are (RFC 9112, 3.2).
pub(super) async fn refuse_odd_heads(request: Request, next: Next) -> Response {
    match odd_head(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn odd_head(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES_MAX {
        let title = "The path and query are too long";
        let problem = Problem::new(StatusCode::URI_TOO_LONG, "target_too_long", title);
        let detail = format!("they may have at most {TARGET_BYTES_MAX} bytes, not {target}");
        return Some(problem.detail(detail).with("limit_bytes", TARGET_BYTES_MAX));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADERS_BYTES_MAX || headers.len() > HEADERS_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let problem = Problem::new(status, "headers_too_large", "The headers are too large");
        let limit = format!("{HEADERS_MAX} headers and {HEADERS_BYTES_MAX} bytes may be at most");
        return Some(problem.detail(format!("{limit}, not {} and {bytes}", headers.len())));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    let needs_host = request.version() >= Version::HTTP_11;
    if hosts > 1 || (hosts == 0 && needs_host) {
        let title = "A request names one Host";
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_host", title);
        return Some(problem.detail(format!("there are {hosts} Host headers")));
    }
    None
}

/// Reads the body whole, so that the limits hold for every handler, however it reads.
pub(super) async fn read_body(
    State(limits): State<Limits>,
    request: Request,
    next: Next,
) -> Response {
    let bytes_max = limits.body_bytes_max;
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    if let Some(coding) = coding(request.headers()) {
        return coded_body(coding).into_response();
    }
    let (parts, body) = request.into_parts();
    let declared = body.size_hint().lower();
    if declared > bytes_max as u64 && awaits_permission(&parts.headers) {
        // The client has not sent the body yet, and now will not.
        return body_too_large(bytes_max).into_response();
    }
    match timeout(limits.body_timeout, buffer(body, bytes_max)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => body_too_slow(limits.body_timeout).into_response(),
    }
}

/// What the body is encoded with, if it is.
fn coding(headers: &HeaderMap) -> Option<String> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = codings.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let coding = codings.collect::<Vec<_>>().join(", ");
    let is_plain = coding.is_empty() || coding.trim().eq_ignore_ascii_case("identity");
    (!is_plain).then_some(coding)
}

/// RFC 9110, 15.5.16: the answer says which codings there are.
fn coded_body(coding: String) -> impl IntoResponse {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let problem = Problem::new(status, "unsupported_encoding", "The body must not be encoded")
        .detail(format!("Content-Encoding: {coding} is not read; send the body as it is"));
    ([(header::ACCEPT_ENCODING, "identity")], problem)
}

fn body_too_slow(body_timeout: Duration) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "The body did not arrive")
        .detail(format!("a request body must arrive within {body_timeout:?}"))
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
    if error.is::<Elapsed>() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "It took too long")
            .detail(format!("there was no answer within {timeout:?}"))
            .retry_after(1);
    }
    Problem::overloaded("too many requests are in flight", 1)
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
