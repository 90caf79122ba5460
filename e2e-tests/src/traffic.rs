//! [`Traffic`]: customers who order at a steady rate and do not give up.

use crate::outside::{Outside, PATIENCE};
use anyhow::Result;
use client::{NotNow, OrderClient, order_body};
use contracts::OrderId;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
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
    not_now: Refusals,
}

/// Why orders had to be sent again, so far. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<Vec<NotNow>>>);

impl Refusals {
    /// Each of them.
    pub fn seen(&self) -> Vec<NotNow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, why: NotNow) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }
}

impl Traffic {
    /// Begin: `number` orders of one piece of `sku` each, `per_second` of them.
    pub fn start(outside: &Outside, sku: &'static str, number: u32, per_second: u32) -> Self {
        let (mut orders, not_now) = (JoinSet::new(), Refusals::default());
        let interval = Duration::from_secs(1) / per_second;
        let begin = tokio::time::Instant::now();
        for n in 0..number {
            let (client, refusals) = (outside.customer().clone(), not_now.clone());
            orders.spawn(async move {
                tokio::time::sleep_until(begin + interval * n).await;
                place(&client, sku, |why| refusals.note(why)).await
            });
        }
        Self { orders, not_now }
    }

    /// Why orders have to be sent again.
    pub fn not_now(&self) -> Refusals {
        self.not_now.clone()
    }

    /// Wait until all are accepted.
    ///
    /// # Errors
    /// When one is refused, or not accepted in time.
    pub async fn finish(self) -> Result<Vec<Placed>> {
        self.orders.join_all().await.into_iter().collect()
    }
}

async fn place(
    orders: &OrderClient,
    sku: &'static str,
    not_now: impl FnMut(NotNow),
) -> Result<Placed> {
    let key = Uuid::new_v4().to_string();
    // A shop that cannot keep up says when to come again, which is later each time.
    let patience = PATIENCE * 4;
    let answer = orders.place(&key, &order_body("ada", &[(sku, 1)]), patience, not_now).await?;
    Ok(Placed { id: answer.accepted()?, sku })
}
