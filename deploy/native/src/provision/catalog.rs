//! Waits until orders knows the demo catalog, of which each instance has a copy of its own.

use std::time::Duration;

use anyhow::{Result, ensure};
use client::Badge;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::retry_until;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const CUSTOMERS: [&str; 4] = ["ada", "grace", "alan", "declan"];
const PRODUCTS: [&str; 11] =
    ["TEA", "MUG", "KETTLE", "LAST", "GONE", "HONEY", "SCONE", "LAMP", "SCARF", "SEEDS", "BINOC"];

/// Waits until every instance of orders at these base URLs knows every customer and product.
///
/// The rows travel from the catalog database through Connect, and an instance that has read its
/// topic to the end may have read an empty one. Orders has no question to ask it: so it is sent
/// orders of no pieces, which it always refuses, and names what it does not know.
///
/// # Errors
/// When one is not known within `deadline`, or orders does not answer.
pub async fn known(orders_urls: &[String], badge: &Badge, deadline: Duration) -> Result<()> {
    let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
    let until = Instant::now() + deadline;
    for url in orders_urls {
        for customer in CUSTOMERS {
            retry_until(until, || knows(&client, badge, url, customer)).await?;
        }
    }
    Ok(())
}

async fn knows(client: &Client, badge: &Badge, url: &str, customer: &str) -> Result<()> {
    let lines: Vec<Value> = PRODUCTS.map(|sku| json!({ "sku": sku, "quantity": 0 })).into();
    let order = json!({ "customer_id": customer, "lines": lines });
    let answer = badge.on(client.post(format!("{url}/orders")).json(&order)).send().await?;
    let status = answer.status().as_u16();
    let unknown = unknown(&answer.json().await?);
    ensure!(status == 422, "{url}/orders answers {status} to an order of no pieces");
    ensure!(unknown.is_empty(), "orders at {url} does not know: {}", unknown.join(", "));
    Ok(())
}

/// What a problem names as unknown.
fn unknown(problem: &Value) -> Vec<String> {
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let unknown = errors.filter(|error| text(error, "code").starts_with("unknown_"));
    unknown.map(|error| text(error, "detail")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unknown_is_waited_for() {
        let problem = json!({ "errors": [
            {"code": "unknown_customer", "detail": "there is no customer ada"},
            {"code": "out_of_range", "detail": "must be between 1 and 1000"},
            {"code": "unknown_sku", "detail": "there is no product TEA"},
        ]});
        assert_eq!(unknown(&problem), ["there is no customer ada", "there is no product TEA"]);
        assert!(unknown(&json!({ "title": "not now" })).is_empty());
    }
}
