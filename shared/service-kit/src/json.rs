//! Extractors that answer unusable input with a [`Problem`] that names the field.

use std::{error::Error as _, fmt};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        path::ErrorKind,
        rejection::{BytesRejection, FailedToBufferBody, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Unexpected, Visitor, value::Error as ValueError,
};
use serde_json::error::Category;
use serde_path_to_error as path_to_error;

use crate::problem::Problem;

/// A JSON request body.
///
/// Answers 415 if the body is not declared as JSON, 400 with line and column if it is broken, and
/// 422 with the path of the field if it does not fit `T`.
#[derive(Clone, Copy, Debug)]
pub struct ValidJson<T>(pub T);

/// The query string; 400 with the name of the parameter if it does not fit `T`.
#[derive(Clone, Copy, Debug)]
pub struct ValidQuery<T>(pub T);

/// The parameters of the path; 400 with the name of the parameter if they do not fit `T`.
#[derive(Clone, Copy, Debug)]
pub struct ValidPath<T>(pub T);

impl<T, S> FromRequest<S> for ValidJson<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(unsupported_media_type());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable_body)?;
        parse_json(&bytes).map(Self)
    }
}

impl<T, S> FromRequestParts<S> for ValidQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| invalid_query(&rejection))
    }
}

impl<T, S> FromRequestParts<S> for ValidPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(invalid_path)
    }
}

/// Reads a whole number as JSON Schema has them: `2.0` is one, as to JavaScript, and `2.5` is none.
///
/// # Errors
/// When it is none, or does not fit 64 bits.
pub fn whole<'de, D: Deserializer<'de>>(number: D) -> Result<i64, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            let unfit = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
            i64::try_from(number).map_err(unfit)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
            // Beyond these, a float no longer tells one whole number from the next.
            const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
            if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
                return Ok(number as i64);
            }
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    number.deserialize_i64(Whole)
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| {
        let essence = essence.to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

fn unsupported_media_type() -> Problem {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, "unsupported_media_type", "The body is not JSON")
        .detail("send the body as Content-Type: application/json")
}

fn unreadable_body(rejection: BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "The body cannot be read"),
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = path_to_error::deserialize(&mut deserializer).map_err(|error| {
        match error.inner().classify() {
            Category::Data => {
                let message = error.inner().to_string();
                // The position says little once the field is named.
                let message = message.rsplit_once(" at line ").map_or(&*message, |(text, _)| text);
                wrong_field(Problem::invalid("the body does not fit"), error.path(), message)
            }
            Category::Syntax | Category::Eof | Category::Io => broken_json(error.inner()),
        }
    })?;
    deserializer.end().map_err(|error| broken_json(&error))?;
    Ok(value)
}

fn broken_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "broken_json", "The body is not well-formed JSON")
        .detail(error.to_string())
        .with("line", error.line())
        .with("column", error.column())
}

fn invalid_query(rejection: &QueryRejection) -> Problem {
    let problem =
        Problem::new(StatusCode::BAD_REQUEST, "invalid_query", "The query string is not valid");
    // rejection -> axum's error -> serde's error with the path of the parameter
    let cause = rejection.source().and_then(|error| error.source()).or(rejection.source());
    match cause.and_then(|error| error.downcast_ref::<path_to_error::Error<ValueError>>()) {
        Some(error) => wrong_field(problem, error.path(), &error.inner().to_string()),
        None => problem.detail(rejection.body_text()),
    }
}

fn invalid_path(rejection: PathRejection) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_path", "The path is not valid");
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return problem.detail(rejection.body_text());
    };
    match error.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            problem.field(key, "invalid", format!("{value:?} is not a valid {expected_type}"))
        }
        ErrorKind::DeserializeError { key, value, message } => {
            problem.field(key, "invalid", format!("{value:?}: {message}"))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            problem.field(key, "invalid", "is not UTF-8 once percent-decoded")
        }
        kind => problem.detail(kind.to_string()),
    }
}

/// Adds the field that serde stumbled over, with a code by what is wrong with it.
///
/// Serde reports a missing member at its parent, so the name is taken from the message.
fn wrong_field(problem: Problem, path: &path_to_error::Path, message: &str) -> Problem {
    let path = match path.to_string() {
        root if root == "." => String::new(),
        path => path,
    };
    let named = message.split('`').nth(1);
    let (code, named) = if message.starts_with("missing field") {
        ("missing", named)
    } else if message.starts_with("unknown field") {
        ("unknown", named)
    } else if message.starts_with("duplicate field") {
        ("duplicate", named)
    } else {
        ("invalid", None)
    };
    let field = match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => {
            format!("{path}.{name}")
        }
        _ => path,
    };
    problem.field(field, code, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "customer_id")]
        _customer_id: String,
        #[serde(rename = "lines")]
        _lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[serde(rename = "quantity")]
        _quantity: u32,
    }

    #[test]
    fn a_body_that_does_not_fit_names_the_field() {
        for (body, field, code) in [
            (r#"{"lines":[]}"#, "customer_id", "missing"),
            (r#"{"customer_id":"ada","lines":[{}]}"#, "lines[0].quantity", "missing"),
            (r#"{"customer_id":"ada","lines":[{"quantity":-1}]}"#, "lines[0].quantity", "invalid"),
            (r#"{"customer_id":1,"lines":[]}"#, "customer_id", "invalid"),
            (r#"{"customer":"ada"}"#, "customer", "unknown"),
            (r#"{"customer_id":"ada","lines":[{"price":1}]}"#, "lines[0].price", "unknown"),
            (r#"{"customer_id":"a","customer_id":"b"}"#, "customer_id", "duplicate"),
        ] {
            let problem = parse_json::<Order>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            let errors = problem.errors();
            assert_eq!((&*errors[0].field, &*errors[0].code), (field, code), "{body}: {errors:?}");
            assert!(!errors[0].detail.contains("at line"), "{errors:?}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        #[derive(Debug, Deserialize)]
        struct Restock {
            #[serde(deserialize_with = "whole")]
            quantity: i64,
        }
        for (number, expected) in [("2", 2), ("2.0", 2), ("-3", -3), ("1e3", 1000), ("-0.0", 0)] {
            let body = format!(r#"{{"quantity":{number}}}"#);
            let restock: Restock = parse_json(body.as_bytes()).unwrap();
            assert_eq!(restock.quantity, expected, "{number}");
        }
        for number in ["2.5", "1e300", "18446744073709551615", "\"2\"", "null", "true"] {
            let body = format!(r#"{{"quantity":{number}}}"#);
            let problem = parse_json::<Restock>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.errors()[0].field, "quantity", "{number}: {problem:?}");
            assert!(problem.errors()[0].detail.contains("a whole number"), "{problem:?}");
        }
    }

    #[test]
    fn a_broken_body_names_line_and_column() {
        for (body, position) in [("{\"customer_id\":\n]", "line 2 column 1"), ("", "line 1")] {
            let problem = parse_json::<Order>(body.as_bytes()).unwrap_err();
            assert_eq!(
                (problem.status(), problem.code()),
                (StatusCode::BAD_REQUEST, "broken_json")
            );
            assert!(format!("{problem:?}").contains(position), "{problem:?}");
        }
        let trailing = br#"{"customer_id":"ada","lines":[]} {}"#;
        assert_eq!(parse_json::<Order>(trailing).unwrap_err().code(), "broken_json");
    }

    #[test]
    fn a_query_that_does_not_fit_names_the_parameter() {
        #[derive(Debug, Deserialize)]
        struct Paging {
            #[serde(rename = "limit")]
            _limit: u32,
        }
        for (uri, field, code) in [
            ("/orders?limit=many", "limit", "invalid"),
            ("/orders", "limit", "missing"),
            ("/orders?limit=1&limit=2", "limit", "duplicate"),
        ] {
            let rejection = Query::<Paging>::try_from_uri(&uri.parse().unwrap()).unwrap_err();
            let problem = invalid_query(&rejection);
            let errors = problem.errors();
            assert_eq!((&*errors[0].field, &*errors[0].code), (field, code), "{uri}: {errors:?}");
        }
    }
}
