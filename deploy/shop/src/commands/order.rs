//! `shop order`: places an order and follows its timeline until it is settled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// One `SKU=QUANTITY`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    sku: String,
    quantity: i64,
}

impl std::str::FromStr for Line {
    type Err = String;

    /// Only the form is checked here: what is in bounds is for the shop to say.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SKU=QUANTITY, such as TEA=2");
        let (sku, quantity) = text.split_once('=').ok_or_else(wrong)?;
        let quantity = quantity.parse().map_err(|_| wrong())?;
        if sku.is_empty() {
            return Err(wrong());
        }
        Ok(Self { sku: sku.into(), quantity })
    }
}

/// Where the shop takes orders and shows them.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) orders: String,
    pub(crate) view: String,
}

/// The part of a timeline's entry that is shown.
#[derive(Clone, Debug, Deserialize)]
struct Entry {
    version: i64,
    transition: String,
    status: String,
    writer: String,
    topic: String,
    partition: i32,
    offset: i64,
    latency_ms: i64,
}

#[derive(Debug, Deserialize)]
struct Timeline {
    transitions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct OrderView {
    status: String,
    #[serde(default)]
    version: i64,
    #[serde(default)]
    reasons: Vec<Value>,
    /// Commands that changed nothing: for a refused order, why it was.
    #[serde(default)]
    refusals: Vec<Value>,
}

/// Places an order of `lines` for `customer` and prints each transition as it appears.
///
/// # Errors
/// When it is not accepted, ends otherwise than confirmed, or has no end within `patience`.
pub(crate) async fn run(
    addresses: &Addresses,
    customer: &str,
    lines: &[Line],
    patience: Duration,
) -> Result<()> {
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    let started = Instant::now();
    let order_id = place(&client, &addresses.orders, customer, lines).await?;
    println!("order {order_id} accepted in {} ms", started.elapsed().as_millis());
    let url = format!("{}/orders/{order_id}", addresses.view);
    let mut shown = 0;
    loop {
        let order: Option<OrderView> = get(&client, &url).await?;
        let timeline: Option<Timeline> = get(&client, &format!("{url}/timeline")).await?;
        for entry in timeline.iter().flat_map(|timeline| &timeline.transitions) {
            if entry.version > shown {
                shown = entry.version;
                println!("{}", entry_line(entry));
            }
        }
        // The order may be newer than the timeline that was asked for a moment before.
        if let Some(order) =
            order.filter(|order| is_settled(&order.status) && shown >= order.version)
        {
            return finish(&order, started.elapsed());
        }
        if started.elapsed() > patience {
            bail!("not settled after {} s: {url} shows how it goes on", patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn place(client: &Client, url: &str, customer: &str, lines: &[Line]) -> Result<String> {
    let lines: Vec<Value> =
        lines.iter().map(|line| json!({ "sku": line.sku, "quantity": line.quantity })).collect();
    let answer = client
        .post(format!("{url}/orders"))
        .header("Idempotency-Key", Uuid::new_v4().to_string())
        .json(&json!({ "customer_id": customer, "lines": lines }))
        .send()
        .await
        .with_context(|| format!("orders does not answer at {url}"))?;
    if !answer.status().is_success() {
        bail!("the order was not accepted: {}", problem(answer).await);
    }
    let body: BTreeMap<String, Value> = answer.json().await?;
    let id = body.get("order_id").and_then(Value::as_str);
    Ok(id.context("orders answered without an order_id")?.to_owned())
}

/// None while the view does not know it.
async fn get<T: serde::de::DeserializeOwned>(client: &Client, url: &str) -> Result<Option<T>> {
    let answer = client.get(url).send().await.with_context(|| format!("no answer at {url}"))?;
    if answer.status().as_u16() == 404 {
        return Ok(None);
    }
    if !answer.status().is_success() {
        bail!("{url}: {}", problem(answer).await);
    }
    let body = answer.json().await;
    body.map(Some).with_context(|| format!("{url} answers something unexpected"))
}

fn finish(order: &OrderView, took: Duration) -> Result<()> {
    let took = format!("after {} ms", took.as_millis());
    if order.status == "confirmed" {
        println!("confirmed {took}");
        return Ok(());
    }
    let reasons = order.reasons.iter().chain(&order.refusals);
    let reasons: Vec<String> = reasons.map(reason_text).collect();
    bail!("{} {took}: {}", order.status, reasons.join("; "))
}

/// Whether nobody holds the baton any more.
fn is_settled(status: &str) -> bool {
    matches!(status, "confirmed" | "rejected" | "cancelled" | "refunded" | "refused")
}

fn entry_line(entry: &Entry) -> String {
    let place = format!("{}/{}@{}", entry.topic, entry.partition, entry.offset);
    format!(
        "{:>7} ms  {:<16} {:<18} by {:<9} {place}",
        entry.latency_ms, entry.status, entry.transition, entry.writer
    )
}

fn reason_text(reason: &Value) -> String {
    let text = |name: &str| reason.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("code"), text("detail")) {
        ("", "") => reason.to_string(),
        (code, "") => code.to_owned(),
        ("", detail) => detail.to_owned(),
        (code, detail) => format!("{code} ({detail})"),
    }
}

/// A problem+json answer in words.
async fn problem(answer: Response) -> String {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let Ok(body) = serde_json::from_str::<Value>(&text) else { return format!("{status} {text}") };
    problem_text(status.as_u16(), &body)
}

fn problem_text(status: u16, body: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut words = text(body, "title");
    let detail = text(body, "detail");
    if !detail.is_empty() && detail != words {
        words = format!("{words}: {detail}");
    }
    for error in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        words = format!("{words}\n  {}: {}", text(error, "field"), text(error, "detail"));
    }
    if words.is_empty() { format!("status {status}: {body}") } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sku_and_a_quantity_of_any_size() {
        assert_eq!("TEA=2".parse(), Ok(Line { sku: "TEA".into(), quantity: 2 }));
        assert_eq!("TEA=-1".parse::<Line>().unwrap().quantity, -1, "the shop says what is wrong");
        for wrong in ["TEA", "=2", "TEA=two"] {
            assert!(wrong.parse::<Line>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_problem_is_told_in_words_with_its_fields() {
        let body = json!({
            "title": "the order cannot be placed",
            "code": "invalid_request",
            "errors": [{"field": "lines[0].quantity", "code": "x", "detail": "must be 1 to 1000"}]
        });
        let words = problem_text(422, &body);
        assert_eq!(words, "the order cannot be placed\n  lines[0].quantity: must be 1 to 1000");
        assert_eq!(problem_text(500, &json!({})), "status 500: {}");
    }
}
