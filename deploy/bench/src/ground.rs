//! [`Ground`]: the shop that is measured.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use auditor::Verdict;
use client::control::Request;
use client::{Found, Manners, OrderClient, OrderView, Shop, StartOptions, State};
use evidence::audit_at_rest;
use load::journal::Stories;
use load::mix::Mix;
use load::usage::{Meter, Usage};
use load::{Load, Settings};

use contracts::{OrderId, ServiceName, Status, topics};
use streams_kafka::LogReader;

/// Longer than a burst takes to be worked off: no order shall end by its deadline.
const DEADLINE_MS: &str = "86400000";

/// How long orders may take to end when the load is over.
const PATIENCE: Duration = Duration::from_secs(300);

/// Orders that a shop has seen before it is measured: the JVMs compile what is hot. With 1,000
/// orders a third of Kafka's processor time in the next minutes was still its compiler's.
const WARM_UP: u64 = 6_000;
const WARM_UP_RATE: f64 = 100.0;

/// What follows from the last order, such as its mail.
const AUDIT_GRACE: Duration = Duration::from_secs(60);
const AUDIT_PATIENCE: Duration = Duration::from_secs(180);

/// A fresh shop of release builds on free ports, which ends with this value.
#[derive(Debug)]
pub struct Ground {
    shop: Shop,
    found: Found,
}

impl Ground {
    /// Starts one; also tells how many seconds passed until its first order was confirmed.
    ///
    /// # Errors
    /// When the shop does not start, or does not confirm an order.
    pub async fn start() -> Result<(Self, f64)> {
        Self::start_with(None).await
    }

    /// The same with so many partitions, where not the default.
    ///
    /// # Errors
    /// As [`Ground::start`].
    pub async fn start_with(partitions: Option<i32>) -> Result<(Self, f64)> {
        let begun = Instant::now();
        let env = vec![("orders".into(), "ORDER_DEADLINE_MS".into(), DEADLINE_MS.into())];
        let options = StartOptions { env, partitions, ..StartOptions::default() };
        let shop = Shop::start(options).await?;
        let found = Found::at(&shop.state().dir).await?;
        // What this process reads and writes on the log is of this shop from now on.
        found.state()?;
        let ground = Self { shop, found };
        ground.confirm_one().await?;
        Ok((ground, begun.elapsed().as_secs_f64()))
    }

    /// Lets the JVMs see the load that they are measured under.
    ///
    /// # Errors
    /// When orders do not end.
    pub async fn warm_up(&self) -> Result<()> {
        self.place(WARM_UP, WARM_UP_RATE).await.map(drop)
    }

    /// The shop.
    #[must_use]
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Where everything is.
    #[must_use]
    pub fn state(&self) -> &State {
        self.shop.state()
    }

    /// Runs so many instances of each service.
    ///
    /// # Errors
    /// When one does not become healthy.
    pub async fn scale(&self, instances: u16) -> Result<()> {
        for service in ServiceName::by_default() {
            let service = service.as_str().to_owned();
            self.found.ask(Request::Scale { service, instances }).await?;
        }
        Ok(())
    }

    /// Reads what its processes have used so far.
    ///
    /// # Errors
    /// When the shop does not answer.
    pub async fn meter(&self) -> Result<Meter> {
        Meter::read(&self.found).await
    }

    /// The memory of the five services together, in MB.
    ///
    /// # Errors
    /// When the shop does not answer.
    pub async fn services_mb(&self) -> Result<u64> {
        let now = self.meter().await?;
        let usage = now.since(&now);
        let ours = usage.services.iter().filter(|(name, _)| client::SERVICES.contains(&&***name));
        Ok(ours.map(|(_, used)| used.memory_mb).sum())
    }

    /// The bytes that the shop has on disk: the log, the databases, the state of the services.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64> {
        let data = self.state().dir.join("data");
        on_disk(&data).with_context(|| data.display().to_string())
    }

    /// How many records the topics of the shop have had, markers of transactions included.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn records(&self) -> Result<i64> {
        let bootstrap = self.state().url("kafka")?.to_owned();
        let count = move || {
            let log = LogReader::new(&bootstrap, "bench")?;
            let places = topics::ALL.into_iter().flat_map(|topic| {
                (0..topic.partitions()).map(move |partition| (topic.name, partition))
            });
            places.map(|(topic, partition)| log.stable_end(topic, partition)).sum()
        };
        tokio::task::spawn_blocking(count).await?
    }

    /// Judges everything that has happened in the shop by every law; waits for what is on its way.
    ///
    /// # Errors
    /// When the shop cannot be looked at.
    pub async fn audit(&self) -> Result<Verdict> {
        let verdict = audit_at_rest(self.state(), AUDIT_GRACE, AUDIT_PATIENCE, auditor::audit);
        verdict.await.context("the shop could not be audited")
    }

    /// Places orders of the usual mix and waits until all have ended.
    ///
    /// # Errors
    /// When they have not ended within five minutes.
    pub async fn place(&self, orders: u64, rate: f64) -> Result<(Stories, Usage)> {
        let before = self.meter().await?;
        let (seed, mix, manners) = (fastrand::u64(..), Mix::default(), Manners::Patient);
        let settings = Settings { seed, mix, orders, rate, manners };
        let mut load = Load::start(self.state(), settings).await?;
        load.placed().await?;
        ensure!(load.all_settled(PATIENCE).await, "orders have not ended at {rate}/s");
        let usage = self.meter().await?.since(&before);
        Ok((load.journal().look(Clone::clone), usage))
    }

    /// Places one order and waits until it is confirmed.
    ///
    /// # Errors
    /// When it is not, within five minutes.
    pub async fn confirm_one(&self) -> Result<OrderId> {
        self.one(Status::Confirmed).await
    }

    /// Places one order and waits until it is validated, or later in its life.
    ///
    /// # Errors
    /// When it is not, within five minutes.
    pub async fn validate_one(&self) -> Result<OrderId> {
        self.one(Status::Validated).await
    }

    /// A customer of this shop.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn client(&self) -> Result<OrderClient> {
        OrderClient::of(self.shop.state())
    }

    async fn one(&self, until: Status) -> Result<OrderId> {
        let client = self.client()?;
        let body = client::order_body("ada", &[("TEA", 1)]);
        let key = format!("bench-{}", fastrand::u64(..));
        let order = client.place(&key, &body, PATIENCE, |_| ()).await?.accepted()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The view may be away; there is a next time.
            let view = client.order(order).await.ok().flatten();
            let status = view.as_ref().map(|view| view.status.as_str());
            if [until, Status::Confirmed].iter().any(|good| status == Some(good.as_str())) {
                return Ok(order);
            }
            if let Some(other) = view.as_ref().and_then(OrderView::outcome) {
                bail!("the order ended {}", other.as_str());
            }
            ensure!(Instant::now() < deadline, "the order is {status:?}, not {until:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Of the files below `folder`, what they take: Kafka's indexes are longer than that. A file may
/// vanish while it is looked at.
fn on_disk(folder: &Path) -> io::Result<u64> {
    /// Of a block, whatever the file system (`stat(2)`).
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = match entry.metadata() {
            Ok(found) if found.is_dir() => on_disk(&entry.path()),
            Ok(found) => Ok(found.blocks() * BLOCK),
            Err(error) => Err(error),
        };
        bytes += match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            found => found?,
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_take_is_counted_and_not_how_long_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/full"), vec![1; 100_000]).unwrap();
        fs::File::create(folder.path().join("sparse")).unwrap().set_len(1 << 30).unwrap();
        let bytes = on_disk(folder.path()).unwrap();
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
    }
}
