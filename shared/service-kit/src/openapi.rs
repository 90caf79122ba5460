//! The OpenAPI document of a service, made from its handlers, and the page that shows it to people.

use std::collections::BTreeSet;

use anyhow::ensure;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::Response,
    routing::get,
};
use utoipa::{
    OpenApi as _,
    openapi::{
        Components, OpenApi, Ref, RefOr, extensions::Extensions, path::Operation,
        response::Response as Answer,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    callers::{ACCESS, Access, Guarded},
    health::{__path_live, __path_ready},
    metrics,
    operations::{name, operations, problem_about, problem_content},
    problem::{self, Problem},
};

const JSON: &str = "application/json";

/// The page needs its own files and answers, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What [`serve`](crate::serve) may answer to any request before a handler has it, or instead.
const ANY_REQUEST: [(StatusCode, &str); 6] = [
    (StatusCode::BAD_REQUEST, "The path, the query, a header or the body cannot be read"),
    (StatusCode::URI_TOO_LONG, "Path and query are too long"),
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large, or too many"),
    (StatusCode::TOO_MANY_REQUESTS, "Too often; `Retry-After` says when to come again"),
    (StatusCode::INTERNAL_SERVER_ERROR, "Our own error; the log of the service has the cause"),
    (StatusCode::SERVICE_UNAVAILABLE, "Not now; `Retry-After` says when to come again"),
];

/// And to one that may have a body.
const ANY_BODY: [(StatusCode, &str); 3] = [
    (StatusCode::REQUEST_TIMEOUT, "The body has not arrived in time"),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON, or is encoded"),
];

/// Who may call what every service answers beside its own routes.
const OURS: [(&str, Access); 4] = [
    ("/openapi.json", Access::Public),
    ("/health/live", Access::Public),
    ("/health/ready", Access::Public),
    // Unless METRICS_ACCESS says otherwise.
    ("/metrics", Access::Staff),
];

/// What every service answers beside its own routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(document), components(schemas(Problem)))]
struct Common;

#[derive(utoipa::OpenApi)]
#[openapi(paths(live, ready, metrics::show))]
struct Health;

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
#[expect(dead_code, reason = "it is what the document says of the answer")]
fn document() {}

/// The `document` of a service's own routes, with what [`serve`](crate::serve) answers beside them
/// or in their place: health, and errors that are problems.
#[must_use]
pub fn complete(document: OpenApi) -> OpenApi {
    let mut document = document.merge_from(Common::openapi());
    document.paths.paths.values_mut().flat_map(operations).for_each(complete_operation);
    let shared = &mut document.components.get_or_insert_with(Components::new).responses;
    for (status, about) in ANY_REQUEST.into_iter().chain(ANY_BODY) {
        shared.insert(name(status), RefOr::T(problem_about(about)));
    }
    // Health and metrics are outside of the limits of the server; a 503 of health is a report.
    let mut document = document.merge_from(Health::openapi());
    for (path, access) in OURS {
        let item = document.paths.paths.get_mut(path);
        for (_, operation) in item.into_iter().flat_map(operations) {
            let extensions = operation.extensions.get_or_insert_with(Extensions::default);
            extensions.insert(ACCESS.to_owned(), access.as_str().into());
        }
    }
    document
}

fn complete_operation((may_have_body, operation): (bool, &mut Operation)) {
    let answers = &mut operation.responses.responses;
    for (status, answer) in &mut *answers {
        if let RefOr::T(answer) = answer
            && status.starts_with(['4', '5'])
        {
            make_problem(answer);
        }
    }
    let with_body: &[_] = if may_have_body { &ANY_BODY } else { &[] };
    for &(status, _) in ANY_REQUEST.iter().chain(with_body) {
        let shared = || RefOr::Ref(Ref::from_response_name(name(status)));
        answers.entry(status.as_str().to_owned()).or_insert_with(shared);
    }
}

/// Every error is a problem, and has its media type.
fn make_problem(answer: &mut Answer) {
    if answer.content.is_empty() {
        answer.content.insert(problem::CONTENT_TYPE.to_owned(), RefOr::T(problem_content()));
    } else if let Some(content) = answer.content.shift_remove(JSON) {
        answer.content.insert(problem::CONTENT_TYPE.to_owned(), content);
    }
}

/// `GET /openapi.json`, written once and then served from memory, and a page that shows it to
/// people at `GET /docs`. The page and all its files come from the binary.
///
/// # Errors
/// Fails if two operations have one id, or the document cannot be written as JSON: faults of its
/// author, and found by its test.
pub fn router(document: &OpenApi) -> anyhow::Result<Guarded> {
    let mut ids = BTreeSet::new();
    for (_, operation) in document.paths.paths.clone().values_mut().flat_map(operations) {
        let id = operation.operation_id.clone();
        ensure!(id.is_none() || ids.insert(id.clone()), "two operations have the id {id:?}");
    }
    let json = Bytes::from(document.to_pretty_json()?);
    let answer = move || async move { ([(header::CONTENT_TYPE, JSON)], json) };
    // A validator would be another host, and the bar of the other layout has inline styles.
    let config = Config::from("../openapi.json").validator_url("none").use_base_layout();
    let page = Router::from(SwaggerUi::new("/docs").config(config));
    let files = Router::new().route("/openapi.json", get(answer));
    Ok(Guarded::public(files.merge(page.layer(map_response(guard)))))
}

/// The headers of a page that trusts nothing but this service.
async fn guard(mut response: Response) -> Response {
    const SET: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    response.headers_mut().extend(SET);
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use serde_json::Value;
    use tower::ServiceExt;
    use utoipa::OpenApi as _;

    use super::*;
    use crate::Callers;

    #[utoipa::path(post, path = "/lines", responses(
        (status = 202), (status = 409, body = Problem), (status = 422)))]
    #[expect(dead_code, reason = "it is what the document says of the answer")]
    fn add() {}

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(add))]
    struct Lines;

    fn lines() -> OpenApi {
        complete(Lines::openapi())
    }

    #[test]
    fn every_error_is_a_problem_and_those_of_the_server_are_told() {
        let document = serde_json::to_value(lines()).unwrap();
        let answers = document["paths"]["/lines"]["post"]["responses"].as_object().unwrap();
        let statuses: Vec<_> = answers.keys().map(String::as_str).collect();
        let expected =
            ["202", "400", "408", "409", "413", "414", "415", "422", "429", "431", "500", "503"];
        assert_eq!(statuses, expected);
        for (status, answer) in answers.iter().filter(|(status, _)| **status != *"202") {
            let answer = match answer["$ref"].as_str() {
                Some(place) => document.pointer(place.trim_start_matches('#')).unwrap(),
                None => answer,
            };
            let content = answer["content"].as_object().unwrap();
            assert_eq!(content.keys().collect::<Vec<_>>(), [problem::CONTENT_TYPE], "{status}");
        }
        assert!(
            document["paths"]["/health/ready"]["get"]["responses"]["503"]["content"][JSON]
                .is_object()
        );
    }

    #[test]
    fn two_operations_cannot_have_one_id() {
        let mut document = lines();
        let path = document.paths.paths["/lines"].clone();
        document.paths.paths.insert("/rows".to_owned(), path);
        let error = router(&document).unwrap_err().to_string();
        assert!(error.contains("add"), "{error}");
    }

    async fn get_text(path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let routes = router(&lines()).unwrap().judged_by(Callers::open());
        let answer = routes.oneshot(request).await.unwrap();
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY);
        let policy = policy.map(|policy| policy.to_str().unwrap().to_owned()).unwrap_or_default();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, policy, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_page_comes_from_this_service_alone() {
        assert_eq!(get_text("/docs").await.0, StatusCode::SEE_OTHER);
        let (status, policy, page) = get_text("/docs/").await;
        assert_eq!((status, &*policy), (StatusCode::OK, POLICY));
        let sources = page.split(['"', '\'']).skip(1).step_by(2);
        let files: Vec<_> = sources.filter(|source| source.starts_with("./")).collect();
        assert!(files.contains(&"./swagger-ui-bundle.js"), "{files:?}");
        for file in files {
            let path = format!("/docs/{}", file.trim_start_matches("./"));
            assert_eq!(get_text(&path).await.0, StatusCode::OK, "{path}");
        }
        let (_, _, settings) = get_text("/docs/swagger-initializer.js").await;
        assert!(settings.contains("../openapi.json"), "{settings}");
        for text in [&page, &settings] {
            assert!(!text.contains("://") && !text.contains("<style"), "{text}");
        }
        let (_, _, document) = get_text("/openapi.json").await;
        assert!(serde_json::from_str::<Value>(&document).unwrap()["paths"]["/lines"].is_object());
    }
}
