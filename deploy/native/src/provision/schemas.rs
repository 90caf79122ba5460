//! The schemas of every topic, from the registry of topics, registered before any service writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contracts::topics;
use reqwest::{Client, Response};
use serde_json::json;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A new schema must read all old records, and all old readers the new ones.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

/// Sets the compatibility and registers every schema; one that is registered already keeps its id.
///
/// # Errors
/// When the registry does not answer, or refuses one: with its reason.
pub async fn ensure(registry_url: &str) -> Result<()> {
    let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
    let config = json!({ "compatibility": COMPATIBILITY });
    let answer = client.put(format!("{registry_url}/config")).json(&config).send().await?;
    accept(answer).await.context("setting the registry's compatibility")?;
    for topic in topics::ALL.iter().filter(|topic| topic.registers_schemas()) {
        for schema in (topic.schemas)() {
            let subject = topic.subject(schema);
            let url = format!("{registry_url}/subjects/{subject}/versions");
            let body = json!({ "schema": schema.text });
            let answer = client.post(url).json(&body).send().await?;
            accept(answer).await.with_context(|| format!("registering schema {subject}"))?;
        }
    }
    Ok(())
}

async fn accept(answer: Response) -> Result<()> {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    ensure!(status.is_success(), "the registry answers {status}: {text}");
    Ok(())
}
