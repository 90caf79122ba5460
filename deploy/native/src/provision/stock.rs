//! The first stock of the demo products, by the same command that customers of the API use.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Badge;
use reqwest::Client;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::retry_until;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What lies in the warehouse on the first day. `GONE` is sold out.
const STOCK: [(&str, u32); 10] = [
    ("TEA", 1_000_000),
    ("MUG", 500),
    ("KETTLE", 20),
    ("LAST", 1),
    ("HONEY", 300),
    ("SCONE", 250),
    ("LAMP", 40),
    ("SCARF", 60),
    ("SEEDS", 2_000),
    ("BINOC", 8),
];

/// Restocks each product; inventory knows the command ids of former starts and does nothing then.
///
/// Products travel from the catalog database to inventory, so one may be unknown for a moment:
/// refusals are tried again until `deadline`.
///
/// # Errors
/// When a product is still refused then, or inventory does not answer.
pub async fn ensure(inventory_url: &str, badge: &Badge, deadline: Duration) -> Result<()> {
    let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
    let until = Instant::now() + deadline;
    for (sku, quantity) in STOCK {
        retry_until(until, || restock(&client, badge, inventory_url, (sku, quantity))).await?;
    }
    Ok(())
}

async fn restock(
    client: &Client,
    badge: &Badge,
    inventory_url: &str,
    (sku, quantity): (&str, u32),
) -> Result<()> {
    let command_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("demo-{sku}").as_bytes());
    let url = format!("{inventory_url}/stock/{sku}/restock");
    let body = json!({ "command_id": command_id, "quantity": quantity });
    let answer = badge.on(client.post(url).json(&body)).send().await;
    let answer = answer.with_context(|| format!("restock {sku}"))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    ensure!(status.is_success(), "restocking {sku}: inventory answers {status}: {text}");
    Ok(())
}
