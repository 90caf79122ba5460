//! [`Books`]: what must add up after some traffic, whatever happened meanwhile.

use crate::{Outside, Placed, outside::PATIENCE};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The stock of one product before some traffic.
pub struct Books {
    outside: Outside,
    sku: &'static str,
    on_hand: i64,
}

impl Books {
    /// Open the books on `sku`.
    ///
    /// # Errors
    /// When the view does not know it.
    pub async fn open(outside: &Outside, sku: &'static str) -> Result<Self> {
        let on_hand = number(&outside.product(sku).await?, "on_hand")?;
        Ok(Self { outside: outside.clone(), sku, on_hand })
    }

    /// Wait until every order is settled; how many ended in which status.
    ///
    /// # Errors
    /// When one is not settled in time.
    pub async fn settle(&self, placed: &[Placed]) -> Result<BTreeMap<String, usize>> {
        let mut statuses = BTreeMap::new();
        for (_, status) in self.outcomes(placed).await? {
            *statuses.entry(status).or_insert(0) += 1;
        }
        Ok(statuses)
    }

    /// Close the books: every order settled; one capture per confirmed order and no money kept for
    /// any other; stock gone down by what was confirmed, and nothing reserved; one confirmation
    /// per confirmed order, at most `mails_twice` of them twice, each with the Message-ID of the
    /// first.
    ///
    /// # Errors
    /// What does not add up.
    pub async fn close(&self, placed: &[Placed], mails_twice: usize) -> Result<()> {
        let unique: HashSet<_> = placed.iter().map(|order| order.id).collect();
        ensure!(unique.len() == placed.len(), "an order id was given twice");
        let outcomes = self.outcomes(placed).await?;
        self.check_money(&outcomes).await?;
        let confirmed: Vec<&Placed> =
            placed.iter().filter(|order| outcomes[&order.id.to_string()] == "confirmed").collect();
        let sold: i64 = confirmed.iter().map(|order| order.quantity).sum();
        self.check_stock(sold).await?;
        let confirmed = confirmed.iter().map(|order| order.id.to_string()).collect();
        self.check_mails(confirmed, mails_twice).await
    }

    async fn outcomes(&self, placed: &[Placed]) -> Result<HashMap<String, String>> {
        let settled = stream::iter(placed).map(|order| async {
            let settled = self.outside.settled(order.id).await?;
            let status = settled["status"].as_str().context("an order has a status")?;
            anyhow::Ok((order.id.to_string(), status.to_owned()))
        });
        settled.buffer_unordered(32).try_collect().await
    }

    async fn check_money(&self, outcomes: &HashMap<String, String>) -> Result<()> {
        let mut booked: HashMap<String, Vec<String>> = HashMap::new();
        for entry in self.outside.statement().await? {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            booked.entry(text("key")).or_default().push(text("kind"));
        }
        for (order, status) in outcomes {
            let booked = booked.remove(order).unwrap_or_default();
            let captures = booked.iter().filter(|kind| *kind == "capture").count();
            let right = match status.as_str() {
                "confirmed" => booked == ["capture"],
                "refunded" => booked == ["capture", "refund"],
                // A charge whose answer came too late is voided.
                _ => captures == 0 || booked == ["capture", "void"],
            };
            ensure!(right, "{order} is {status}, but the bank has booked {booked:?}");
        }
        Ok(())
    }

    async fn check_stock(&self, sold: i64) -> Result<()> {
        let expected = (self.on_hand - sold, 0, self.on_hand - sold);
        testkit::wait_for(
            &format!("the stock of {}: {expected:?}", self.sku),
            PATIENCE,
            || async {
                let product = self.outside.product(self.sku).await.map_err(|e| format!("{e:#}"))?;
                let of = |name| number(&product, name).map_err(|error| format!("{error:#}"));
                let found = (of("on_hand")?, of("reserved")?, of("available")?);
                if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
            },
        )
        .await;
        Ok(())
    }

    async fn check_mails(&self, confirmed: HashSet<String>, twice: usize) -> Result<()> {
        let about =
            |id: &String| id.split_once(".confirmation@").map(|(order, _)| order.to_owned());
        testkit::wait_for("a confirmation for each confirmed order", PATIENCE, || async {
            let ids = self.outside.message_ids().await.map_err(|error| format!("{error:#}"))?;
            let mailed: HashSet<_> = ids.iter().filter_map(about).collect();
            let missing = confirmed.difference(&mailed).count();
            if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) }
        })
        .await;
        let ids = self.outside.message_ids().await?;
        let ours = ids.iter().filter_map(about).filter(|order| confirmed.contains(order)).count();
        let surplus = ours - confirmed.len();
        ensure!(surplus <= twice, "{surplus} confirmations were sent twice, {twice} may be");
        Ok(())
    }
}

fn number(value: &Value, name: &str) -> Result<i64> {
    value[name].as_i64().with_context(|| format!("no `{name}` in {value}"))
}
