//! [`Traffic`]: customers who order at a steady rate and do not give up.

use crate::{Outside, lines, outside::order_id};
use anyhow::{Result, bail};
use contracts::OrderId;
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// An order that was accepted.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order.
    pub id: OrderId,
    /// What was ordered.
    pub sku: &'static str,
    /// How many.
    pub quantity: i64,
}

/// Orders at a steady rate. Each has an Idempotency-Key and is sent again until it is accepted, as
/// a careful client does, so that an outage delays it and loses nothing.
pub struct Traffic {
    orders: JoinSet<Result<Placed>>,
}

impl Traffic {
    /// Begin: `number` orders of one piece of `sku` each, `per_second` of them.
    pub fn start(outside: &Outside, sku: &'static str, number: u32, per_second: u32) -> Self {
        let outside = outside.clone();
        let mut orders = JoinSet::new();
        let interval = Duration::from_secs(1) / per_second;
        let begin = tokio::time::Instant::now();
        for n in 0..number {
            let outside = outside.clone();
            orders.spawn(async move {
                tokio::time::sleep_until(begin + interval * n).await;
                place(&outside, sku).await
            });
        }
        Self { orders }
    }

    /// Wait until all are accepted.
    ///
    /// # Errors
    /// When one is refused, or not accepted in time.
    pub async fn finish(self) -> Result<Vec<Placed>> {
        self.orders.join_all().await.into_iter().collect()
    }
}

async fn place(outside: &Outside, sku: &'static str) -> Result<Placed> {
    const PATIENCE: Duration = Duration::from_secs(90);
    let key = Uuid::new_v4().to_string();
    let body = json!({ "customer_id": "ada", "lines": lines(&[(sku, 1)]) });
    let started = Instant::now();
    loop {
        let request = outside.post("orders", "/orders", &body).header("idempotency-key", &key);
        let seen = match outside.send(request).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                return Ok(Placed { id: order_id(&answer)?, sku, quantity: 1 });
            }
            Ok(answer) if answer.status.is_server_error() || answer.status.as_u16() == 429 => {
                format!("{answer:?}")
            }
            Ok(answer) => bail!("refused: {answer:?}"),
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() > PATIENCE {
            bail!("not accepted in {PATIENCE:?}; last seen: {seen}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
