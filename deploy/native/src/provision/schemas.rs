//! The schemas of every topic, from the registry of topics, registered before any service writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contracts::topics;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Of our own subjects: a new schema must read all old records, and all old readers the new ones.
const OURS: &str = "FULL_TRANSITIVE";
/// Of all others. The schema of a captured table is that of another owner's database, which changes
/// as it likes: a registry that refuses it stops the connector, and with it every other table. Its
/// readers resolve each version against what they read of it, and name what they cannot.
const OTHERS: &str = "NONE";

/// Sets the compatibilities and registers every schema; one that is registered already keeps its
/// id.
///
/// # Errors
/// When the registry does not answer, or refuses one: with its reason.
pub async fn ensure(registry_url: &str) -> Result<()> {
    let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
    for topic in topics::ALL.iter().filter(|topic| topic.registers_schemas()) {
        for schema in (topic.schemas)() {
            let subject = topic.subject(schema);
            // A subject is bound before it gets another version, and a new one with its first.
            let _ = bind(&client, registry_url, Some(&subject)).await;
            let url = format!("{registry_url}/subjects/{subject}/versions");
            let body = json!({ "schema": schema.text });
            let answer = client.post(url).json(&body).send().await?;
            accept(answer).await.with_context(|| format!("registering schema {subject}"))?;
            bind(&client, registry_url, Some(&subject)).await?;
        }
    }
    bind(&client, registry_url, None).await
}

/// Sets the compatibility of a subject of ours, or of all that have none of their own.
async fn bind(client: &Client, registry_url: &str, subject: Option<&str>) -> Result<()> {
    let (url, compatibility) = match subject {
        Some(subject) => (format!("{registry_url}/config/{subject}"), OURS),
        None => (format!("{registry_url}/config"), OTHERS),
    };
    let config = json!({ "compatibility": compatibility });
    let answer = client.put(url).json(&config).send().await?;
    if subject.is_none() && answer.status() == StatusCode::NOT_FOUND {
        // Apicurio takes NONE for the removal of the rule, and there is none to remove.
        return Ok(());
    }
    accept(answer).await.with_context(|| {
        let whose = subject.unwrap_or("all others");
        format!("setting the compatibility of {whose} to {compatibility}")
    })
}

async fn accept(answer: Response) -> Result<()> {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    ensure!(status.is_success(), "the registry answers {status}: {text}");
    Ok(())
}
