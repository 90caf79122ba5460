//! What partitions, instances, products and open orders cost: the same load on shops that differ in
//! one of them.
//!
//! All of it runs on one machine. So more instances have no more processors than one has: what
//! is measured is what they cost, and not what more machines would bring.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::burst::{PIECES, Wish, burst, spread_sku, validate};
use crate::steady::{self, Step, orders_in, whole};
use crate::telemetry::WARM_UP_SECONDS;
use crate::{Figures, Ground};

/// How long a new product may take until services know it.
const KNOWN_WITHIN: Duration = Duration::from_secs(120);
/// Requests that are on their way at a time.
const RESTOCKED_AT_A_TIME: usize = 16;

/// What to vary, and how much to measure at each place.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Shops with so many partitions.
    pub partitions: Vec<i32>,
    /// So many instances of each service, in each of these shops, up to one for each partition.
    pub instances: Vec<u16>,
    /// So many products, in a shop with the default.
    pub skus: Vec<usize>,
    /// So many open orders, in the same shop.
    pub open: Vec<usize>,
    /// Orders per second.
    pub rate: f64,
    /// How long each rate is measured.
    pub seconds: u64,
    /// Orders of each burst.
    pub orders: usize,
}

/// Measures all of it; `on_step` hears of each place.
///
/// # Errors
/// When a shop does not start, or orders do not end.
pub async fn scale(plan: &Scale, mut on_step: impl FnMut(String)) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut tell = |figures: &mut Figures, place: Place| {
        on_step(place.told());
        place.add_to(figures);
    };
    for partitions in &plan.partitions {
        let (ground, _) = Ground::start_with(Some(*partitions)).await?;
        ground.warm_up().await?;
        for instances in instances_for(*partitions, &plan.instances) {
            ground.scale(instances).await?;
            let name = format!("p{partitions}.i{instances}");
            tell(&mut figures, both(&ground, plan, name).await?);
        }
    }
    if plan.skus.is_empty() && plan.open.is_empty() {
        return Ok(figures);
    }
    let (ground, _) = Ground::start_with(None).await?;
    ground.warm_up().await?;
    for skus in &plan.skus {
        sell(&ground, *skus).await?;
        let place = worked_off(&ground, Wish::Spread(*skus), plan.orders);
        tell(&mut figures, Place::new(format!("skus{skus}"), place.await?));
    }
    // They stay open, so this comes last.
    let mut open = 0;
    for wanted in &plan.open {
        if let Some(more) = wanted.checked_sub(open).filter(|more| *more > 0) {
            validate(&ground, Wish::Mixed, more).await?;
            open += more;
        }
        let validated = validated(&ground, plan.orders).await?;
        open += plan.orders;
        tell(&mut figures, Place::new(format!("open{wanted}"), validated));
    }
    Ok(figures)
}

/// Those that can have something to do, the fewest first: to end one takes a session's timeout.
fn instances_for(partitions: i32, wanted: &[u16]) -> Vec<u16> {
    let mut instances: Vec<_> =
        wanted.iter().copied().filter(|wanted| i32::from(*wanted) <= partitions).collect();
    instances.sort_unstable();
    instances.dedup();
    instances
}

/// What was measured at one place.
struct Place {
    name: String,
    figures: Vec<(&'static str, f64)>,
}

impl Place {
    fn new(name: String, figures: Vec<(&'static str, f64)>) -> Self {
        Self { name, figures }
    }

    fn told(&self) -> String {
        let figures = self.figures.iter().map(|(what, value)| format!("{what} {value:.2}"));
        format!("{}: {}", self.name, figures.collect::<Vec<_>>().join(", "))
    }

    fn add_to(self, figures: &mut Figures) {
        for (what, value) in self.figures {
            figures.add(format!("scale.{}.{what}", self.name), value);
        }
    }
}

/// The cost at a rate, and the pace of a burst.
async fn both(ground: &Ground, plan: &Scale, name: String) -> Result<Place> {
    ground.place(orders_in(plan.rate, WARM_UP_SECONDS), plan.rate).await?;
    let (stories, usage) = ground.place(orders_in(plan.rate, plan.seconds), plan.rate).await?;
    let step = Step::of(&stories, &usage);
    let thousands = whole(stories.orders.len() as u64) / 1e3;
    let kafka = usage.services.get("kafka").map_or(0, |used| used.cpu_ms);
    let mut figures = vec![
        ("cpu_s_per_1000", step.cpu_s_per_1000),
        ("kafka_cpu_s_per_1000", steady::seconds_of(kafka) / thousands),
        ("to_settled_p99_ms", step.p99_ms),
    ];
    let paces = burst(ground, Wish::Mixed, plan.orders).await?;
    for what in ["validated_per_s", "settled_per_s"] {
        figures.extend(paces.get(&format!("burst.{what}")).map(|pace| (what, pace)));
    }
    Ok(Place::new(name, figures))
}

/// The pace of a burst, and its processor time: the whole life of each order.
async fn worked_off(
    ground: &Ground,
    wish: Wish,
    orders: usize,
) -> Result<Vec<(&'static str, f64)>> {
    let before = ground.meter().await?;
    let paces = burst(ground, wish, orders).await?;
    let usage = ground.meter().await?.since(&before);
    let cpu = steady::seconds_of(usage.cpu_ms()) * 1e3 / whole(orders as u64);
    let pace = |what: &str| paces.get(&format!("burst.{what}")).unwrap_or(0.0);
    let (validated, settled) = (pace("validated_per_s"), pace("settled_per_s"));
    Ok(vec![("cpu_s_per_1000", cpu), ("validated_per_s", validated), ("settled_per_s", settled)])
}

/// The same of orders that are validated, and stay open.
async fn validated(ground: &Ground, orders: usize) -> Result<Vec<(&'static str, f64)>> {
    let before = ground.meter().await?;
    let pace = validate(ground, Wish::Mixed, orders).await?;
    let usage = ground.meter().await?.since(&before);
    let cpu = steady::seconds_of(usage.cpu_ms()) * 1e3 / whole(orders as u64);
    let memory = usage.services.get("orders").map_or(0, |used| used.memory_mb);
    Ok(vec![("cpu_s_per_1000", cpu), ("validated_per_s", pace), ("orders_mb", whole(memory))])
}

/// Sees that there are `skus` products with enough pieces, and that orders and inventory know them.
async fn sell(ground: &Ground, skus: usize) -> Result<()> {
    let url = ground.state().url("postgres.catalog")?;
    let mut catalog = PgConnection::connect(url).await.with_context(|| url.to_owned())?;
    let rows = "INSERT INTO products (sku, name, description, price_minor, currency, picture) \
                SELECT 'SCALE-' || n, 'Product ' || n, 'One of many', 100, 'EUR', '' \
                FROM generate_series(1, $1) AS n ON CONFLICT DO NOTHING";
    sqlx::query(rows).bind(i32::try_from(skus)?).execute(&mut catalog).await?;
    let restocks = (1..=skus).map(|number| restock(ground, spread_sku(number)));
    futures::stream::iter(restocks)
        .buffer_unordered(RESTOCKED_AT_A_TIME)
        .try_collect::<()>()
        .await?;
    known(ground, skus).await
}

async fn restock(ground: &Ground, sku: String) -> Result<()> {
    let (client, inventory) = (ground.client()?, ground.state().url("inventory")?);
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let goods = (sku.as_str(), PIECES);
        let answer = client.restock(inventory, goods, Uuid::now_v7(), KNOWN_WITHIN, |_| ()).await?;
        if answer.status == 202 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{sku} was not restocked: {}", answer.problem());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Orders sells the last of them. The rows come in their order.
async fn known(ground: &Ground, skus: usize) -> Result<()> {
    let client = ground.client()?;
    let body = client::order_body("ada", &[(spread_sku(skus), 1)]);
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let key = format!("known-{}", fastrand::u64(..));
        let answer = client.place(&key, &body, KNOWN_WITHIN, |_| ()).await?;
        if answer.accepted().is_ok() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "orders does not know {skus}: {}", answer.problem());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instance_is_measured_that_could_only_be_idle() {
        assert_eq!(instances_for(3, &[4, 2, 1, 2]), [1, 2]);
        assert_eq!(instances_for(12, &[1, 2, 4]), [1, 2, 4]);
    }

    #[test]
    fn the_figures_of_a_place_have_its_name() {
        let mut figures = Figures::default();
        let place = Place::new("p6.i2".to_owned(), vec![("cpu_s_per_1000", 12.5)]);
        assert_eq!(place.told(), "p6.i2: cpu_s_per_1000 12.50");
        place.add_to(&mut figures);
        assert_eq!(figures.get("scale.p6.i2.cpu_s_per_1000"), Some(12.5));
    }
}
