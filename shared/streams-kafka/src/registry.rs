//! The schema registry over HTTP, by its [Confluent-compatible API].
//!
//! A reply counts only if it is the registry's own: a success of the expected shape, or a refusal
//! with the registry's error code in its body. Everything else (no reply, a proxy's 404, a 500) is
//! [`RegistryError::Unavailable`], for a record must not be taken for poison while the registry is
//! away.
//!
//! [Confluent-compatible API]: https://docs.confluent.io/platform/current/schema-registry/develop/api.html

use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;
use streams::{RegistryError, SchemaRegistry};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest reply that is read, in bytes. Our largest schema has some 10 KB.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// No such subject, version, schema.
const CODES_UNKNOWN: [u32; 3] = [40401, 40402, 40403];
/// What the API says of a schema that it cannot parse.
const CODE_INVALID_SCHEMA: u32 = 42201;

/// A real registry, spoken to over HTTP.
pub struct HttpRegistry {
    url: Url,
    /// The same for errors: they are logged and shown, and it may have a password.
    told: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

/// The registry's own words.
enum Answer<T> {
    Found(T),
    /// A success that is not read to its end.
    TooLarge,
    Unknown,
    Refused(String),
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

impl HttpRegistry {
    /// The registry whose Confluent-compatible API is at `url`. The calls run on `runtime`; they
    /// block the caller, which must be a thread outside of it.
    ///
    /// # Errors
    /// When `url` is none, or no HTTP client can be made.
    pub fn new(url: &str, runtime: tokio::runtime::Handle) -> Result<Self, RegistryError> {
        let unavailable = |error: String| {
            RegistryError::Unavailable(format!("the URL of the schema registry: {error}"))
        };
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        let url = Url::parse(url).map_err(|error| unavailable(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(unavailable("no base for a path".to_owned()));
        }
        let told = without_secrets(&url);
        Ok(Self { url, told, http, runtime })
    }

    /// Register `schema` under `subject`; its id. The same schema again gives the same id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] with the registry's words.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let body = serde_json::json!({ "schema": schema });
        let request = self.http.post(self.path(&["subjects", subject, "versions"])).json(&body);
        match self.ask::<Registered>(request).await? {
            Answer::Found(Registered { id }) => Ok(id),
            Answer::Refused(detail) => Err(incompatible(subject, detail)),
            Answer::Unknown => Err(self.unavailable("it takes no schema")),
            Answer::TooLarge => Err(self.unavailable("an id with a long tail")),
        }
    }

    async fn look_up(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let body = serde_json::json!({ "schema": schema });
        let request = self.http.post(self.path(&["subjects", subject])).json(&body);
        match self.ask::<Registered>(request).await? {
            Answer::Found(Registered { id }) => Ok(id),
            Answer::Refused(detail) => Err(incompatible(subject, detail)),
            Answer::Unknown => Err(self.why_not_registered(subject, &body).await),
            Answer::TooLarge => Err(self.unavailable("an id with a long tail")),
        }
    }

    /// The subject does not have our schema: because it is incompatible, or just not there yet?
    async fn why_not_registered(&self, subject: &str, body: &serde_json::Value) -> RegistryError {
        #[derive(Deserialize)]
        struct Verdict {
            is_compatible: bool,
            #[serde(default)]
            messages: Vec<String>,
        }
        let mut url = self.path(&["compatibility", "subjects", subject, "versions"]);
        url.set_query(Some("verbose=true"));
        match self.ask::<Verdict>(self.http.post(url).json(body)).await {
            Ok(Answer::Found(verdict)) if !verdict.is_compatible => {
                incompatible(subject, verdict.messages.join("; "))
            }
            _ => RegistryError::Unknown(format!(
                "schema of ours under {subject}; `./shop provision schemas` registers it"
            )),
        }
    }

    async fn schema(&self, id: u32) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct Found {
            schema: String,
        }
        let request = self.http.get(self.path(&["schemas", "ids", &id.to_string()]));
        match self.ask::<Found>(request).await? {
            Answer::Found(Found { schema }) => Ok(schema),
            Answer::Unknown => Err(RegistryError::Unknown(format!("schema with id {id}"))),
            // It will not shrink: what was written with it must not hold up its partition for ever.
            Answer::TooLarge => Err(RegistryError::Unknown(format!(
                "schema with id {id} in a reply of {REPLY_BYTES_MAX} bytes at most"
            ))),
            Answer::Refused(detail) => Err(self.unavailable(&detail)),
        }
    }

    fn path(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        let mut path = url.path_segments_mut().expect("`new` takes only a base");
        path.pop_if_empty().extend(segments);
        drop(path);
        url
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Answer<T>, RegistryError> {
        #[derive(Deserialize)]
        struct Refusal {
            error_code: u32,
            #[serde(default)]
            message: String,
        }
        let reply = request.send().await.map_err(|error| {
            // Its URL has the parameters; `told` says where it was.
            self.unavailable(&causes(&error.without_url()))
        })?;
        let status = reply.status();
        let Some(body) = self.body(reply).await? else {
            return match status.is_success() {
                true => Ok(Answer::TooLarge),
                false => Err(self.unavailable(&format!("{status}, over {REPLY_BYTES_MAX} bytes"))),
            };
        };
        if status.is_success() {
            let found = serde_json::from_slice(&body);
            return found.map(Answer::Found).map_err(|error| self.unavailable(&error.to_string()));
        }
        let refusal = serde_json::from_slice::<Refusal>(&body).ok();
        match (status, refusal) {
            (StatusCode::NOT_FOUND, Some(no)) if CODES_UNKNOWN.contains(&no.error_code) => {
                Ok(Answer::Unknown)
            }
            (StatusCode::CONFLICT, Some(no)) => Ok(Answer::Refused(no.message)),
            (StatusCode::UNPROCESSABLE_ENTITY, Some(no))
                if no.error_code == CODE_INVALID_SCHEMA =>
            {
                Ok(Answer::Refused(no.message))
            }
            (_, Some(no)) => {
                let Refusal { error_code, message } = no;
                Err(self.unavailable(&format!("{status}, error {error_code}: {message}")))
            }
            (_, None) => Err(self.unavailable(&status.to_string())),
        }
    }

    /// None if it is over [`REPLY_BYTES_MAX`].
    async fn body(&self, mut reply: Response) -> Result<Option<Vec<u8>>, RegistryError> {
        let mut body = Vec::new();
        while let Some(chunk) =
            reply.chunk().await.map_err(|error| self.unavailable(&causes(&error)))?
        {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    fn unavailable(&self, error: &str) -> RegistryError {
        RegistryError::Unavailable(format!("{}: {error}", self.told))
    }
}

/// The address alone: a password stands before the host, or among the parameters.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Neither fails for a URL that can be a base.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

fn incompatible(subject: &str, detail: String) -> RegistryError {
    RegistryError::Incompatible { subject: subject.to_owned(), detail }
}

/// An error of reqwest says what went wrong only in its sources.
fn causes(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut text = error.to_string();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl SchemaRegistry for HttpRegistry {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.runtime.block_on(self.look_up(subject, schema))
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        self.runtime.block_on(self.schema(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::header::CONTENT_TYPE};
    use tokio::{net::TcpListener, runtime::Runtime};

    const PROXY: &str = "<html>404 Not Found</html>";

    fn body(code: u32) -> String {
        format!(r#"{{"error_code":{code},"message":"as the test says"}}"#)
    }

    /// A registry, below `path`, whose every reply is this one.
    fn always(runtime: &Runtime, path: &str, status: u16, body: String) -> HttpRegistry {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = (status, [(CONTENT_TYPE, "application/json")], body);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let server = Router::new().fallback(async move || reply);
        runtime.spawn(async move { axum::serve(listener, server).await });
        HttpRegistry::new(&url, runtime.handle().clone()).unwrap()
    }

    fn is_unavailable<T>(result: &Result<T, RegistryError>) -> bool {
        matches!(result, Err(RegistryError::Unavailable(_)))
    }

    #[test]
    fn a_registry_that_is_away_makes_no_id_unknown_whatever_its_digits() {
        let runtime = Runtime::new().unwrap();
        let free = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        for url in [format!("http://{address}"), format!("http://{address}/404/409/")] {
            let registry = HttpRegistry::new(&url, runtime.handle().clone()).unwrap();
            for id in [404, 1404, 4040, 40403, 409] {
                assert!(is_unavailable(&registry.schema_by_id(id)), "{url} {id}");
            }
            assert!(is_unavailable(&registry.id_of("orders-404", "{}")));
            assert!(is_unavailable(&runtime.block_on(registry.register("orders-409", "{}"))));
        }
    }

    #[test]
    fn no_error_has_a_secret_of_the_url() {
        let runtime = Runtime::new().unwrap();
        let free = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let url = format!("http://shop:hunter1@{address}/apis?token=hunter2");
        let registry = HttpRegistry::new(&url, runtime.handle().clone()).unwrap();
        let error = registry.schema_by_id(7).unwrap_err().to_string();
        assert!(error.contains(&format!("http://{address}/apis: ")), "{error}");
        assert!(!error.contains("hunter"), "{error}");
        let error = HttpRegistry::new("shop:hunter1", runtime.handle().clone()).err().unwrap();
        assert!(!error.to_string().contains("hunter"), "{error}");
    }

    #[test]
    fn only_the_registrys_own_code_makes_an_id_unknown() {
        let runtime = Runtime::new().unwrap();
        let registry = always(&runtime, "", 404, body(40403));
        let unknown = registry.schema_by_id(7);
        assert!(matches!(unknown, Err(RegistryError::Unknown(_))), "{unknown:?}");
        let unknown = registry.id_of("orders", "{}");
        assert!(matches!(unknown, Err(RegistryError::Unknown(_))), "{unknown:?}");
        for (status, body) in [
            (404, PROXY.to_owned()),
            (404, body(404)),
            (404, String::new()),
            (502, PROXY.to_owned()),
            (500, body(50001)),
            (401, body(40101)),
            (200, "{}".to_owned()),
            (500, "x".repeat(REPLY_BYTES_MAX + 1)),
        ] {
            let registry = always(&runtime, "/404", status, body);
            assert!(is_unavailable(&registry.schema_by_id(40403)), "{status}");
            assert!(is_unavailable(&registry.id_of("orders", "{}")), "{status}");
        }
    }

    #[test]
    fn a_schema_that_is_too_large_to_be_read_is_none_to_wait_for() {
        let runtime = Runtime::new().unwrap();
        let registry = always(&runtime, "", 200, "x".repeat(REPLY_BYTES_MAX + 1));
        assert!(matches!(registry.schema_by_id(7), Err(RegistryError::Unknown(_))));
        assert!(is_unavailable(&registry.id_of("orders", "{}")));
    }

    #[test]
    fn a_refusal_is_incompatible_and_a_success_gives_what_was_asked_for() {
        let runtime = Runtime::new().unwrap();
        for (status, code) in [(409, 409), (422, 42201)] {
            let registry = always(&runtime, "", status, body(code));
            match runtime.block_on(registry.register("orders", "{}")) {
                Err(RegistryError::Incompatible { subject, detail }) => {
                    assert_eq!((&*subject, &*detail), ("orders", "as the test says"));
                }
                other => panic!("{status}: {other:?}"),
            }
        }
        let proxy = always(&runtime, "", 409, PROXY.to_owned());
        assert!(is_unavailable(&runtime.block_on(proxy.register("orders", "{}"))));
        let registry = always(&runtime, "", 200, r#"{"id":3,"schema":"\"int\""}"#.to_owned());
        assert_eq!(registry.schema_by_id(3).unwrap(), r#""int""#);
        assert_eq!(registry.id_of("orders", "{}").unwrap(), 3);
        assert_eq!(runtime.block_on(registry.register("orders", "{}")).unwrap(), 3);
    }
}
