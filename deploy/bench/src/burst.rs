//! Commands that are on the log already: how fast the services work them off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{OrderClient, State};
use contracts::orders::{OrderCommand, PlaceOrder, RequestedLine};
use contracts::owns::Orders;
use contracts::topics::ORDER_COMMANDS;
use contracts::{CommandId, OrderId, Timestamp};
use futures::{StreamExt, TryStreamExt};
use load::journal::{Journal, Milestone, Reply, Stories, Story};
use load::mix::{Intent, Kind, Mix};
use streams::topic::TopicSpec;
use streams::{Codec, lineage::Cause};
use streams_kafka::{HttpRegistry, Sender};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::steady::whole;
use crate::{Figures, Ground};

/// Commands that are on their way to Kafka at a time.
pub(crate) const SENT_AT_A_TIME: usize = 2_000;

/// Each look counts all orders.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a burst may take to be worked off without the next order.
const STANDSTILL: Duration = Duration::from_secs(120);

/// The product of the sale.
const SALE: &str = "TEA";
/// What customers order, and how many pieces there shall be of each: more than any burst orders.
const STOCKED: [&str; 5] = [SALE, "MUG", "HONEY", "SCONE", "SEEDS"];
pub(crate) const PIECES: i64 = 1_000_000;

/// What is not needed until an order is validated.
const AFTER_VALIDATION: [&str; 3] = ["payments", "view", "email"];

/// What the customers of a burst order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// What they usually do, as far as commands alone can say it.
    Mixed,
    /// One piece of the same product, all of them.
    Sale,
    /// One piece of a product, of so many that [`scale`](crate::scale) sells.
    Spread(usize),
}

/// Puts `orders` commands on the log while no service runs, and times orders and inventory alone
/// until all are validated, then the others until all have ended.
///
/// # Errors
/// When a service does not come back, or orders stop to come.
pub async fn burst(ground: &Ground, wish: Wish, orders: usize) -> Result<Figures> {
    let (shop, disk_before) = (ground.shop(), ground.disk_bytes()?);
    let (watched, records) = open_with(ground, wish, orders, &AFTER_VALIDATION).await?;
    let resumed = Instant::now();
    for service in AFTER_VALIDATION {
        shop.start_process(service).await?;
    }
    let settled = |story: &Story| Some(story.settled?.0);
    watched.until_all(orders, settled).await.context("until settled")?;

    let name = |what: &str| match wish {
        Wish::Mixed | Wish::Spread(_) => format!("burst.{what}"),
        Wish::Sale => format!("sale.{what}"),
    };
    let count = whole(orders as u64);
    let mut figures = Figures::default();
    figures.add(name("orders"), count);
    let pace = watched.validated_per_s(orders)?;
    figures.add(name("validated_per_s"), pace);
    figures.add(name("records_per_validated"), records / count);
    figures.add(name("records_per_s"), records / count * pace);
    let (_, end) = watched.span(settled).context("no order has ended")?;
    figures.add(name("settled_per_s"), count / (end - resumed).as_secs_f64().max(1e-3));
    figures.add(name("services_mb"), whole(ground.services_mb().await?));
    let disk = ground.disk_bytes()?.saturating_sub(disk_before);
    figures.add(name("disk_bytes_per_order"), whole(disk) / count);
    Ok(figures)
}

/// Leaves `orders` orders open: validated, and payments is stopped.
///
/// # Errors
/// As [`burst`].
pub async fn open_orders(ground: &Ground, wish: Wish, orders: usize) -> Result<()> {
    open_with(ground, wish, orders, &["payments"]).await.map(drop)
}

/// The same; how many were validated per second.
///
/// # Errors
/// As [`burst`].
pub async fn validate(ground: &Ground, wish: Wish, orders: usize) -> Result<f64> {
    let (watched, _) = open_with(ground, wish, orders, &["payments"]).await?;
    watched.validated_per_s(orders)
}

/// Fills the log, then lets orders and inventory validate all; `stopped` stay so. Also gives how
/// many records the two have written.
async fn open_with(
    ground: &Ground,
    wish: Wish,
    orders: usize,
    stopped: &[&str],
) -> Result<(Watched, f64)> {
    let shop = ground.shop();
    restock(ground.state()).await?;
    for service in ["orders", "inventory"].iter().chain(stopped) {
        shop.stop(service).await?;
    }
    let watched = Watched::begin(ground.state()).await?;
    put(ground.state(), &watched.journal, wish, orders).await?;
    let before = ground.records().await?;
    shop.start_process("inventory").await?;
    shop.start_process("orders").await?;
    watched.until_all(orders, validated).await.context("until validated")?;
    // The copies of the last transitions may follow.
    let written = ground.records().await? - before;
    Ok((watched, whole(u64::try_from(written).unwrap_or(0))))
}

fn validated(story: &Story) -> Option<Instant> {
    story.reached.at(Milestone::Validated)
}

/// The orders of a burst while they pass.
struct Watched {
    journal: Arc<Journal>,
    _watching: DropGuard,
}

impl Watched {
    async fn begin(state: &State) -> Result<Self> {
        let (journal, watching) = (Arc::new(Journal::default()), CancellationToken::new());
        load::watch(state, Arc::clone(&journal), watching.clone()).await?;
        Ok(Self { journal, _watching: watching.drop_guard() })
    }

    /// Waits until all came by `place`, as long as some do.
    async fn until_all(&self, all: usize, place: impl Fn(&Story) -> Option<Instant>) -> Result<()> {
        let count = |stories: &Stories| stories.orders.iter().filter_map(&place).count();
        let (mut seen, mut since) = (0, Instant::now());
        while seen < all {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.journal.look(count);
            if now > seen {
                (seen, since) = (now, Instant::now());
            }
            ensure!(since.elapsed() < STANDSTILL, "{seen} of {all} orders came by, no more do");
        }
        Ok(())
    }

    /// How many of `orders` were validated per second, from the first one: until then the processes
    /// start and restore.
    fn validated_per_s(&self, orders: usize) -> Result<f64> {
        let (first, last) = self.span(validated).context("no order was validated")?;
        Ok(whole(orders as u64) / (last - first).as_secs_f64().max(1e-3))
    }

    /// When the first and when the last came by `place`.
    fn span(&self, place: impl Fn(&Story) -> Option<Instant>) -> Option<(Instant, Instant)> {
        self.journal.look(|stories| {
            let times = || stories.orders.iter().filter_map(&place);
            times().min().zip(times().max())
        })
    }
}

/// Puts the commands on the log as the edge of orders would, and each into the journal.
async fn put(state: &State, journal: &Journal, wish: Wish, orders: usize) -> Result<()> {
    let registry = HttpRegistry::new(state.url("registry")?, tokio::runtime::Handle::current())?;
    let codec = codec_for(registry, vec![&ORDER_COMMANDS.spec]).await?;
    let sender: Sender<Orders> = Sender::new(state.url("kafka")?, codec)?;
    let seed = fastrand::u64(..);
    let sends = (0..orders as u64).map(|n| {
        let command = command(wish, seed, n);
        let order = command.order_id;
        let place = journal.due(Kind::Plain, Instant::now());
        journal.replied(place, Reply::Accepted(order));
        let (sender, fact) = (sender.clone(), OrderCommand::PlaceOrder(command));
        async move { sender.send(&ORDER_COMMANDS, &order, &fact, Cause::default()).await }
    });
    futures::stream::iter(sends).buffer_unordered(SENT_AT_A_TIME).try_collect::<()>().await?;
    Ok(())
}

/// A codec that knows the schemas of `topics`: many senders at once do not wait for the registry.
pub(crate) async fn codec_for(
    registry: HttpRegistry,
    topics: Vec<&'static TopicSpec>,
) -> Result<Codec> {
    let codec = Codec::new(Arc::new(registry));
    let asking = codec.clone();
    tokio::task::spawn_blocking(move || asking.warm_up(&topics)).await??;
    Ok(codec)
}

pub(crate) fn command(wish: Wish, seed: u64, n: u64) -> PlaceOrder {
    let mix: Mix = "plain=1".parse().expect("it is a kind with a weight");
    let Intent { customer, lines, .. } = Intent::draw(&mix, seed, n);
    let lines = match wish {
        Wish::Mixed => lines.into_iter().map(|(sku, pieces)| (sku.to_owned(), pieces)).collect(),
        Wish::Sale => vec![(SALE.to_owned(), 1)],
        Wish::Spread(skus) => vec![(spread_sku(n as usize % skus + 1), 1)],
    };
    let line = |(sku, quantity): (String, i64)| RequestedLine {
        sku: sku.parse().expect("the mix knows skus"),
        quantity: i32::try_from(quantity).expect("a customer wants few pieces"),
    };
    PlaceOrder::new(
        CommandId(Uuid::now_v7()),
        OrderId(Uuid::now_v7()),
        customer.parse().expect("the mix knows customers"),
        lines.into_iter().map(line).collect(),
        Timestamp::now(),
    )
}

/// The name of one of the products of [`Wish::Spread`], from 1.
pub(crate) fn spread_sku(number: usize) -> String {
    format!("SCALE-{number}")
}

/// Nothing may be out of stock: what is rejected is never validated.
async fn restock(state: &State) -> Result<()> {
    let client = OrderClient::of(state)?;
    let inventory = state.url("inventory")?;
    for sku in STOCKED {
        let answer = client.restock(inventory, (sku, PIECES), Uuid::now_v7(), STANDSTILL, |_| ());
        let answer = answer.await?;
        ensure!(answer.status == 202, "the restock was refused: {}", answer.problem());
    }
    Ok(())
}
