//! `shop order`: places an order and follows its timeline until it is settled.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use client::{Badge, Found, OrderClient, OrderView, order_body};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::place::Place;

/// The lines and the customer of the order.
#[derive(Args, Debug)]
pub(crate) struct OrderArgs {
    /// What to order, such as TEA=2 MUG=1
    #[arg(required = true, value_name = "SKU=QUANTITY")]
    lines: Vec<Line>,
    /// The customer: ada, grace, alan, or declan whom the bank always declines
    #[arg(long, default_value = "ada")]
    customer: String,
    /// What the shop should know, such as "ring twice": up to 500 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 90)]
    patience_s: u64,
    /// Where orders listens, when not the shop in --dir
    #[arg(long, env = "ORDERS_URL")]
    orders_url: Option<String>,
    /// Where the view listens, when not the shop in --dir
    #[arg(long, env = "VIEW_URL")]
    view_url: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Does it.
///
/// # Errors
/// When there is no shop, the order is not accepted, ends otherwise than confirmed, or does not end
/// in time.
pub(crate) async fn run(args: OrderArgs) -> Result<()> {
    let client = match (args.orders_url, args.view_url) {
        (Some(orders), Some(view)) => OrderClient::new(&orders, &view)?.with_badge(Badge::given()),
        (orders, view) => {
            let state = Found::at(args.place.dir()).await?.state()?;
            let orders = orders.as_deref().map_or_else(|| state.url("orders"), Ok)?;
            let view = view.as_deref().map_or_else(|| state.url("view"), Ok)?;
            let badge = Badge::customer(&state, &args.customer)?;
            OrderClient::new(orders, view)?.with_badge(badge)
        }
    };
    let patience = Duration::from_secs(args.patience_s);
    follow(&client, &body(&args.customer, &args.lines, &args.note), patience).await
}

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

/// The fields of a timeline's entry that the command shows.
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

/// The body of an order. What is in bounds is for the shop to say.
fn body(customer: &str, lines: &[Line], note: &str) -> Value {
    let lines: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    let mut body = order_body(customer, &lines);
    if !note.is_empty() {
        body["note"] = note.into();
    }
    body
}

/// Places the order of `body` and prints each transition as it appears.
async fn follow(client: &OrderClient, body: &Value, patience: Duration) -> Result<()> {
    let started = Instant::now();
    let key = Uuid::new_v4().to_string();
    let mut told = false;
    let answer = client.place(&key, body, patience, |why| {
        if !std::mem::replace(&mut told, true) {
            eprintln!("orders does not take it now ({why}): sent again until it does");
        }
    });
    let answer = answer.await?;
    let order_id = answer.accepted()?;
    println!("order {order_id} accepted in {} ms", started.elapsed().as_millis());
    let mut shown = 0;
    loop {
        let order = client.order(order_id).await?;
        let timeline: Option<Timeline> = client.timeline(order_id).await?;
        for entry in timeline.iter().flat_map(|timeline| &timeline.transitions) {
            if entry.version > shown {
                shown = entry.version;
                println!("{}", entry_line(entry));
            }
        }
        // The order may be newer than the timeline that was asked for a moment before.
        if let Some(order) =
            order.filter(|order| order.outcome().is_some() && shown >= order.version)
        {
            return finish(&order, started.elapsed());
        }
        if started.elapsed() > patience {
            let url = client.order_url(order_id);
            bail!("not settled after {} s: {url} shows how it goes on", patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    fn a_note_stands_in_the_body_and_no_note_does_not() {
        let lines = ["TEA=2".parse().unwrap()];
        assert_eq!(body("ada", &lines, "ring twice")["note"], "ring twice");
        assert_eq!(body("ada", &lines, "").get("note"), None);
    }
}
