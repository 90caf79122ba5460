//! [`Traffic`]: customers who order at a steady rate and do not give up.

use crate::outside::{Outside, PATIENCE};
use anyhow::Result;
use client::{OrderClient, order_body};
use contracts::OrderId;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// An order that was accepted.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order.
    pub id: OrderId,
    /// What was ordered.
    pub sku: &'static str,
}

/// Orders at a steady rate. Each has an Idempotency-Key and is sent again until it is accepted, as
/// a careful client does, so that an outage delays it and loses nothing.
pub struct Traffic {
    orders: JoinSet<Result<Placed>>,
}

impl Traffic {
    /// Begin: `number` orders of one piece of `sku` each, `per_second` of them.
    pub fn start(outside: &Outside, sku: &'static str, number: u32, per_second: u32) -> Self {
        let mut orders = JoinSet::new();
        let interval = Duration::from_secs(1) / per_second;
        let begin = tokio::time::Instant::now();
        for n in 0..number {
            let client = outside.customer().clone();
            orders.spawn(async move {
                tokio::time::sleep_until(begin + interval * n).await;
                place(&client, sku).await
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

async fn place(orders: &OrderClient, sku: &'static str) -> Result<Placed> {
    let key = Uuid::new_v4().to_string();
    let answer = orders.place(&key, &order_body("ada", &[(sku, 1)]), PATIENCE, |_| {}).await?;
    Ok(Placed { id: answer.accepted()?, sku })
}
