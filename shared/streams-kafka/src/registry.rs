//! The schema registry over HTTP, by its Confluent-compatible API.

use schema_registry_converter::{
    async_impl::schema_registry::{self, SrSettings},
    error::SRCError,
    schema_registry_common::{SchemaType, SuppliedSchema},
};
use std::time::Duration;
use streams::{RegistryError, SchemaRegistry};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A real registry, spoken to over HTTP.
pub struct HttpRegistry {
    url: String,
    settings: SrSettings,
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

impl HttpRegistry {
    /// The registry whose Confluent-compatible API stands at `url`. The calls run on `runtime`;
    /// they block the caller, which must be a thread outside of it.
    ///
    /// # Errors
    /// When no HTTP client can be made for `url`.
    pub fn new(url: &str, runtime: tokio::runtime::Handle) -> Result<Self, RegistryError> {
        let unavailable = |error: String| RegistryError::Unavailable(format!("{url}: {error}"));
        let settings = SrSettings::new_builder(url.trim_end_matches('/').to_owned())
            .set_timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), settings, http, runtime })
    }

    /// Register `schema` under `subject`; its id. The same schema again gives the same id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] with the registry's words.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered =
            schema_registry::post_schema(&self.settings, subject.to_owned(), supplied).await;
        match registered {
            Ok(registered) => Ok(registered.id),
            Err(error) if error.to_string().contains("409") => Err(RegistryError::Incompatible {
                subject: subject.to_owned(),
                detail: error.to_string(),
            }),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    async fn look_up(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Found {
            id: u32,
        }
        let body = serde_json::json!({ "schema": schema });
        let unavailable = |error| RegistryError::Unavailable(format!("{}: {error}", self.url));
        let url = format!("{}/subjects/{subject}", self.url);
        let reply = self.http.post(url).json(&body).send().await.map_err(unavailable)?;
        if reply.status().is_success() {
            return Ok(reply.json::<Found>().await.map_err(unavailable)?.id);
        }
        if reply.status().is_server_error() {
            return Err(RegistryError::Unavailable(format!("{}: {}", self.url, reply.status())));
        }
        self.why_not_registered(subject, &body).await
    }

    /// The subject does not have our schema: because it is incompatible, or just not there yet?
    async fn why_not_registered(
        &self,
        subject: &str,
        body: &serde_json::Value,
    ) -> Result<u32, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Verdict {
            is_compatible: bool,
            #[serde(default)]
            messages: Vec<String>,
        }
        let url = format!("{}/compatibility/subjects/{subject}/versions?verbose=true", self.url);
        let reply = self.http.post(url).json(body).send().await;
        if let Ok(reply) = reply
            && reply.status().is_success()
            && let Ok(verdict) = reply.json::<Verdict>().await
            && !verdict.is_compatible
        {
            let subject = subject.to_owned();
            let detail = verdict.messages.join("; ");
            return Err(RegistryError::Incompatible { subject, detail });
        }
        Err(RegistryError::Unknown(format!("schema of ours under {subject}")))
    }

    fn unavailable(&self, error: &SRCError) -> RegistryError {
        RegistryError::Unavailable(format!("{}: {error}", self.url))
    }
}

impl SchemaRegistry for HttpRegistry {
    fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        self.runtime.block_on(self.look_up(subject, schema))
    }

    fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        let found = self.runtime.block_on(schema_registry::get_schema_by_id(id, &self.settings));
        match found {
            Ok(registered) => Ok(registered.schema),
            Err(error) if error.to_string().contains("404") => {
                Err(RegistryError::Unknown(format!("schema with id {id}")))
            }
            Err(error) => Err(self.unavailable(&error)),
        }
    }
}
