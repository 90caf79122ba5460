//! Entity tags (RFC 9110, 8.8.3): a client that asks again for what has not changed gets 304 and
//! no body.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use service_kit::Problem;
use utoipa::openapi::{OpenApi, RefOr, ResponseBuilder};
use uuid::Uuid;

const JSON: &str = "application/json";

/// The client asks each time, and gets no body if nothing has changed.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// A strong tag: the same for the same bytes alone.
pub(super) fn tag_of(content: &[u8]) -> String {
    format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_OID, content))
}

/// What the client has (RFC 9110, 13.1.2).
pub(super) fn if_none_match(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.get_all(header::IF_NONE_MATCH).iter()
}

/// Whether the content of this tag is among what the client has: [`if_none_match`].
pub(super) fn is_known<'a>(tag: &str, known: impl Iterator<Item = &'a HeaderValue>) -> bool {
    let mut tags = known.filter_map(|known| known.to_str().ok()).flat_map(|known| known.split(','));
    tags.any(|known| known.trim() == "*" || known.trim().trim_start_matches("W/") == tag)
}

/// Tags every answer in JSON, and answers 304 if the client has it. A stream has no tag.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::GET;
    let known: Vec<_> = if_none_match(request.headers()).cloned().collect();
    let response = next.run(request).await;
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_json = media_type.is_some_and(|media_type| media_type.as_bytes() == JSON.as_bytes());
    if !asks || response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It is in memory already: the handlers write it at once.
    let content = match to_bytes(body, usize::MAX).await {
        Ok(content) => content,
        Err(error) => return Problem::internal(&error.into()).into_response(),
    };
    let tag = tag_of(&content);
    let is_known = is_known(&tag, known.iter());
    if let Ok(tag) = HeaderValue::try_from(tag) {
        head.headers.insert(header::ETAG, tag);
    }
    head.headers.insert(header::CACHE_CONTROL, REVALIDATE);
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(content))
}

/// Says so in the `document`, for every question that is answered in JSON.
pub(super) fn document(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let Some(question) = item.get.as_mut() else { continue };
        let answers = &mut question.responses.responses;
        let is_json = |answer: &RefOr<utoipa::openapi::Response>| match answer {
            RefOr::T(answer) => answer.content.contains_key(JSON),
            RefOr::Ref(_) => false,
        };
        if answers.get("200").is_some_and(is_json) {
            let same = "It is still what `If-None-Match` names";
            let same = ResponseBuilder::new().description(same).build();
            answers.insert("304".to_owned(), RefOr::T(same));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_of_tags() {
        let tag = tag_of(b"an order");
        assert_ne!(tag, tag_of(b"another one"));
        let other = tag_of(b"other").to_owned();
        for (header, expected) in [
            (tag.clone(), true),
            (format!("W/{tag}"), true),
            (format!("{other}, {tag}"), true),
            ("*".to_owned(), true),
            (other, false),
            (tag.trim_matches('"').to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::try_from(&header).unwrap());
            assert_eq!(is_known(&tag, if_none_match(&headers)), expected, "{header}");
        }
    }
}
