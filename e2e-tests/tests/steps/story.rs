//! What happens while a service dies: orders of every kind, and how each of them ended.

use crate::support::{arm, cancel, place};
use contracts::OrderId;
use e2e_tests::{Outside, PATIENCE, Placed};
use futures::future::join_all;

/// How an order ended, in every place that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The statuses of its timeline, version by version.
    statuses: Vec<String>,
    /// What the bank has booked.
    booked: Vec<String>,
    /// The kinds of its mails.
    mails: Vec<String>,
}

impl Ending {
    /// The same mail twice is one mail: its Message-ID is the same.
    pub fn once(&mut self) {
        self.mails.dedup();
    }
}

/// A service that does not hold the baton meets one order of each kind when it comes back: one that
/// is confirmed, one that the bank declines, one that is out of stock.
pub struct Story<'a> {
    pub shop: &'a Outside,
    pub service: &'a str,
    pub sku: &'static str,
}

impl Story<'_> {
    /// The orders, and how they ended.
    pub async fn tell(&self, failpoint: Option<&str>) -> (Vec<Placed>, Vec<Ending>) {
        let Self { shop, service, sku } = self;
        shop.shop().stop(service).await.unwrap();
        let orders = [
            place(shop, "ada", sku).await,
            place(shop, "declan", sku).await,
            place(shop, "ada", "GONE").await,
        ];
        arm(shop, service, failpoint).await;
        (placed(&orders, sku), join_all(orders.iter().map(|id| ending(shop, *id))).await)
    }
}

/// A service that holds the baton meets payments of each kind: captured, declined, to be refunded.
pub struct BatonStory<'a> {
    pub shop: &'a Outside,
    pub service: &'a str,
    pub sku: &'static str,
}

impl BatonStory<'_> {
    /// The orders, and how they ended.
    pub async fn tell(&self, failpoint: Option<&str>) -> (Vec<Placed>, Vec<Ending>) {
        let Self { shop, service, sku } = self;
        shop.shop().stop("payments").await.unwrap();
        let mut orders = vec![
            place(shop, "ada", sku).await,
            place(shop, "declan", sku).await,
            place(shop, "grace", sku).await,
            place(shop, "ada", "GONE").await,
        ];
        reach(shop, &orders[..3], 2).await;
        cancel(shop, orders[2]).await;
        // When orders has read this one, it has read the cancellation before it.
        orders.push(place(shop, "alan", sku).await);
        reach(shop, &orders[4..], 2).await;
        if *service == "orders" {
            shop.shop().stop("orders").await.unwrap();
            arm(shop, "payments", None).await;
            reach(shop, &[&orders[..3], &orders[4..]].concat(), 3).await;
        }
        arm(shop, service, failpoint).await;
        (placed(&orders, sku), join_all(orders.iter().map(|id| ending(shop, *id))).await)
    }
}

fn placed(orders: &[OrderId], sku: &'static str) -> Vec<Placed> {
    orders.iter().map(|id| Placed { id: *id, sku }).collect()
}

/// Wait until the view shows `version` of each of the orders.
async fn reach(shop: &Outside, orders: &[OrderId], version: usize) {
    for order in orders {
        testkit::wait_for(&format!("version {version} of {order}"), PATIENCE, || async {
            match shop.timeline(*order).await {
                Ok(timeline) if timeline.len() >= version => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
}

/// How the order ended, once it has, and was mailed about.
async fn ending(shop: &Outside, order: OrderId) -> Ending {
    shop.settled(order).await.unwrap();
    testkit::wait_for(&format!("all that is said of {order}"), PATIENCE, || async {
        // The view may be dying for another test at this moment.
        let seen = async {
            let timeline = shop.timeline(order).await?;
            let mails = shop.mails(order).await?;
            anyhow::Ok((timeline, shop.booked(order).await?, mails))
        };
        let (timeline, booked, mails) = seen.await.map_err(|error| format!("{error:#}"))?;
        if mails.is_empty() {
            return Err(format!("no mail, but {timeline:?}"));
        }
        let versions: Vec<_> = timeline.iter().map(|entry| entry["version"].as_i64()).collect();
        let expected: Vec<_> = (1..=timeline.len() as i64).map(Some).collect();
        assert_eq!(versions, expected, "versions without a gap: {timeline:?}");
        let status = |entry: &serde_json::Value| entry["status"].to_string();
        Ok(Ending { statuses: timeline.iter().map(status).collect(), booked, mails })
    })
    .await
}
