//! Errors over HTTP: RFC 9457 problem details with a stable code.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error answer. `code` is for programs and never changes; `title` and `detail` are for people.
///
/// ```
/// use axum::http::StatusCode;
/// use service_kit::Problem;
///
/// let problem = Problem::invalid("the order cannot be placed")
///     .field("lines[0].quantity", "out_of_range", "must be between 1 and 1000");
/// assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
/// ```
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    retry_after_s: Option<u32>,
    // Boxed, because a `Result<_, Problem>` is returned by nearly every handler.
    document: Box<Document>,
}

/// One member of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the member, such as `lines[0].quantity`.
    pub field: String,
    /// Stable reason, such as `out_of_range`.
    pub code: Cow<'static, str>,
    /// What would be right.
    pub detail: String,
}

/// The body of an `application/problem+json` answer (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
struct Document {
    /// Identifies the kind of problem: `urn:murmuration:problem:<code>`.
    r#type: String,
    /// What kind of problem it is, for people.
    title: Cow<'static, str>,
    /// The status code of the answer.
    status: u16,
    /// What kind of problem it is, for programs; it never changes.
    code: &'static str,
    /// What went wrong this time, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The members of the request that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    #[schema(ignore)]
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem of this kind. `code` is snake case and unique within the service.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        let document = Box::new(Document {
            r#type: format!("urn:murmuration:problem:{code}"),
            title: title.into(),
            status: status.as_u16(),
            code,
            detail: None,
            errors: Vec::new(),
            extensions: Map::new(),
        });
        Self { status, retry_after_s: None, document }
    }

    /// 422: the request is well-formed, but some of its members are wrong; add them with
    /// [`Problem::field`].
    pub fn invalid(detail: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "invalid_request", "The request is not valid").detail(detail)
    }

    /// 404: there is nothing here by that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found").detail(detail)
    }

    /// 403: the caller may not do this, whatever is there.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed")
    }

    /// 503: the service cannot do this now; the client should try again in a second.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment")
            .detail(detail)
            .retry_after(1)
    }

    /// 503: there is too much to do; after `retry_after_s` seconds there may be room.
    pub fn overloaded(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too busy")
            .detail(detail)
            .retry_after(retry_after_s)
    }

    /// 500: our own error. This call logs the chain of causes, once, and hides it from the client.
    pub fn internal(error: &anyhow::Error) -> Self {
        tracing::error!("request failed: {error:#}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong here")
    }

    /// Says what went wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.document.detail = Some(detail.into());
        self
    }

    /// Adds a member of the request that is wrong.
    #[must_use]
    pub fn field(
        mut self,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let error = FieldError { field: field.into(), code: code.into(), detail: detail.into() };
        self.document.errors.push(error);
        self
    }

    /// Adds a `Retry-After` header, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds an extension member. A member that RFC 9457 or this crate defines cannot be replaced.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if !["type", "title", "status", "detail", "instance", "code", "errors"].contains(&key) {
            self.document.extensions.insert(key.to_owned(), value.into());
        }
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.document.code
    }

    /// The members of the request that are wrong, as far as they were added.
    pub fn errors(&self) -> &[FieldError] {
        &self.document.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

// The schema of a problem is that of its body, so handlers can say `body = Problem`.
impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Document::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Document::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_has_the_members_of_rfc_9457_and_the_stable_code() {
        let problem = Problem::invalid("two things are wrong")
            .field("lines[0].quantity", "out_of_range", "must be between 1 and 1000")
            .with("order_id", "o-1")
            .with("status", 200);
        let expected = json!({
            "type": "urn:murmuration:problem:invalid_request",
            "title": "The request is not valid",
            "status": 422,
            "code": "invalid_request",
            "detail": "two things are wrong",
            "errors": [{
                "field": "lines[0].quantity",
                "code": "out_of_range",
                "detail": "must be between 1 and 1000",
            }],
            "order_id": "o-1",
        });
        assert_eq!(serde_json::to_value(&problem.document).unwrap(), expected);
    }

    #[test]
    fn the_answer_carries_status_media_type_and_retry_after() {
        let response = Problem::unavailable("Kafka is away").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
