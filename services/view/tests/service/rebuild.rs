//! Goal: a rebuild gives what the view shows, from the log alone, while the present tables serve;
//! killed anywhere, it goes on, and nothing that is read goes back.

use crate::{
    harness::Instance,
    stories::{confirmed_story, order_id, product, refusal, rejected, requested, stock},
};
use contracts::{
    Order,
    catalog::CatalogCustomer,
    topics::{CUSTOMERS, ORDER_REFUSALS, ORDERS, PRODUCTS, STOCK, TopicSpec},
};
use serde_json::{Value, json};
use sqlx::Connection;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use streams::Record;
use testkit::{PATIENCE, wait_for};
use tokio::{runtime::Handle, task::spawn_blocking};
use view::{
    rebuild::{Ended, Log, rebuild},
    views::ViewName,
};

/// The records of each partition.
type Partitions = BTreeMap<(String, i32), Vec<Record>>;

/// A log in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Records {
    records: Arc<Mutex<Partitions>>,
    /// It fails after so many reads.
    reads_left: Option<usize>,
    /// How many records were read.
    read: usize,
    /// Most records of a read; seven, if that is not set, so that there are many portions.
    at_once: Option<usize>,
}

impl Records {
    pub(crate) fn push(&self, records: &[Record]) {
        let mut all = self.records.lock().unwrap();
        for record in records {
            let place = (record.topic.to_string(), record.partition);
            all.entry(place).or_default().push(record.clone());
        }
    }

    fn of<T>(&self, topic: &TopicSpec, partition: i32, look: impl FnOnce(&[Record]) -> T) -> T {
        let all = self.records.lock().unwrap();
        look(all.get(&(topic.name.to_owned(), partition)).map_or(&[], Vec::as_slice))
    }
}

impl Log for Records {
    fn partitions(&mut self, topic: &TopicSpec) -> anyhow::Result<i32> {
        Ok(topic.partitions())
    }

    fn start(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64> {
        Ok(self.of(topic, partition, |all| all.first().map_or(0, |first| first.offset)))
    }

    fn end(&mut self, topic: &TopicSpec, partition: i32) -> anyhow::Result<i64> {
        Ok(self.of(topic, partition, |all| all.last().map_or(0, |last| last.offset + 1)))
    }

    fn read(
        &mut self,
        topic: &TopicSpec,
        partition: i32,
        from: i64,
        to: i64,
        max: usize,
    ) -> anyhow::Result<(Vec<Record>, i64)> {
        if let Some(left) = &mut self.reads_left {
            anyhow::ensure!(*left > 0, "the log is away");
            *left -= 1;
        }
        let max = max.min(self.at_once.unwrap_or(7));
        let read: Vec<Record> = self.of(topic, partition, |all| {
            let begin = all.partition_point(|record| record.offset < from);
            let range = all[begin..].iter().take_while(|record| record.offset < to);
            range.take(max).cloned().collect()
        });
        self.read += read.len();
        let next = if read.len() < max { to } else { read[read.len() - 1].offset + 1 };
        Ok((read, next))
    }
}

/// Rebuild `name` of `view` from `log`, on a thread of its own as the service does; the log as it
/// is left, and how it ended.
pub(crate) async fn rebuilt(
    view: &Instance,
    name: ViewName,
    mut log: Records,
) -> (Records, anyhow::Result<Ended>) {
    let (database, codec) = (view.database().clone(), view.codec().clone());
    view::adapters::want(&database, name).await.unwrap();
    spawn_blocking(move || {
        let stop = service_kit::Shutdown::new();
        let ended = rebuild(name, &mut log, &database, &codec, &Handle::current(), &stop);
        (log, ended)
    })
    .await
    .unwrap()
}

/// Records of every kind: orders that end in several ways, refusals, the catalog, stock; and some
/// that are shown nowhere.
pub(crate) fn records_of_every_kind(view: &mut Instance, orders: u128) -> Vec<Record> {
    let mut records = Vec::new();
    for sku in ["TEA", "MUG", "GONE"] {
        records.push(view.record(&PRODUCTS, &sku.parse().unwrap(), &product(sku, 890), "cdc"));
    }
    records.push(view.raw_record(&PRODUCTS, &"MUG".parse().unwrap(), b"garbage".to_vec()));
    for (id, name) in [("ada", "Ada Lovelace"), ("alan", "Alan Turing")] {
        let customer = CatalogCustomer {
            customer_id: id.parse().unwrap(),
            name: name.parse().unwrap(),
            email: format!("{id}@example.org").parse().unwrap(),
            active: true,
        };
        records.push(view.record(&CUSTOMERS, &customer.customer_id, &customer, "cdc"));
    }
    for n in 1..=orders {
        let story: Vec<Order> = match n % 5 {
            0 => vec![requested(n), rejected(&requested(n))],
            1 => confirmed_story(n)[..2].to_vec(),
            _ => confirmed_story(n),
        };
        let story = view.records(&story);
        // The first transition is written twice, and so is the last, where nothing may follow it.
        records.extend(story.iter().cloned());
        let again = [requested(n)];
        records.extend(view.records(&again));
        if n % 7 == 0 {
            // An order cannot begin with its end.
            let impossible = confirmed_story(n + 10_000)[3].clone();
            records.extend(view.records(&[impossible]));
            // A transaction marker takes an offset.
            view.skip(&ORDERS.spec);
        }
        if n % 3 == 0 {
            let refused = refusal(n + 20_000, "PlaceOrder");
            records.push(view.record(&ORDER_REFUSALS, &refused.order_id, &refused, "orders"));
        }
        let version = i64::try_from(n).unwrap();
        let level = stock("TEA", version, 100 + version, version);
        records.push(view.record(&STOCK, &level.sku, &level, "inventory"));
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rebuilt_view_is_the_live_one_row_by_row() {
    let mut view = Instance::start("rebuilt").await;
    let log = Records::default();
    let records = records_of_every_kind(&mut view, 60);
    log.push(&records);
    let mut letters = 0;
    for portion in records.chunks(50) {
        letters += view.batch(portion).dead_letters.len();
    }
    assert!(letters > 8, "some show nowhere: {letters}");
    let live = view.rows().await;
    // What is wrong comes right, and what is missing comes back.
    view.sql(
        "UPDATE orders SET status = 'lost'; UPDATE sales SET quantity = 1; DELETE FROM timeline;
         DELETE FROM order_versions; UPDATE customer_orders SET version = 100;
         UPDATE stock SET version = 100; DELETE FROM products; DELETE FROM customers;
         DELETE FROM refusals",
    )
    .await;
    for name in ViewName::ALL {
        let (_, ended) = rebuilt(&view, name, log.clone()).await;
        assert!(matches!(ended.unwrap(), Ended::Swapped { records: 1.. }), "{name}");
    }
    assert_eq!(view.rows().await, live);
    // And it goes on: what comes again changes nothing, what is new is shown once.
    view.batch(&records[records.len() - 50..]);
    assert_eq!(view.rows().await, live);
    let sold = view.get("/sales").await["sales"][0]["orders"].as_i64().unwrap();
    view.feed(&confirmed_story(1_000));
    let sales = view.get("/sales").await;
    assert_eq!(sales["sales"][0]["orders"], sold + 1, "{sales}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_killed_halfway_goes_on_and_the_old_view_is_untouched() {
    let mut view = Instance::start("halfway").await;
    let log = Records::default();
    let records = records_of_every_kind(&mut view, 60);
    log.push(&records);
    view.batch(&records);
    let live = view.rows().await;
    let all = records.iter().filter(|record| record.is_on(&ORDERS)).count();

    let dying = Records { reads_left: Some(12), ..log.clone() };
    let (first, died) = rebuilt(&view, ViewName::Sales, dying).await;
    assert!(format!("{:#}", died.unwrap_err()).contains("the log is away"));
    assert_eq!(view.rows().await, live);
    let status = view.get("/views/sales").await;
    assert_eq!(status["state"], "served");
    let read = status["rebuild"]["records"].as_i64().unwrap();
    assert!(read > 0 && status["rebuild"]["left"].as_i64().unwrap() > 0, "{status:#}");

    // Meanwhile orders pass.
    let more = view.records(&confirmed_story(500));
    log.push(&more);
    view.batch(&more);
    let live = view.rows().await;
    let (second, ended) = rebuilt(&view, ViewName::Sales, log.clone()).await;
    let total = i64::try_from(all + more.len()).unwrap();
    assert_eq!(ended.unwrap(), Ended::Swapped { records: total });
    assert!(second.read < total as usize, "{} and then {} of {total}", first.read, second.read);
    assert_eq!(view.rows().await, live);
    let status = view.get("/views/sales").await;
    assert_eq!((&status["rebuild"], &status["rebuilt"]["records"]), (&Value::Null, &json!(total)));

    // One by another definition starts again.
    let dying = Records { reads_left: Some(12), ..log.clone() };
    let (_, died) = rebuilt(&view, ViewName::Sales, dying).await;
    died.unwrap_err();
    view.sql("UPDATE views SET shadow = 'another'; UPDATE rebuild_sales.sales SET quantity = 0")
        .await;
    let (_, ended) = rebuilt(&view, ViewName::Sales, log).await;
    assert_eq!(ended.unwrap(), Ended::Swapped { records: total });
    assert_eq!(view.rows().await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_do_not_rebuild_the_same_view() {
    let mut view = Instance::start("at_once_rebuilt").await;
    let log = Records::default();
    let records = records_of_every_kind(&mut view, 40);
    log.push(&records);
    view.batch(&records);
    let live = view.rows().await;
    let one = rebuilt(&view, ViewName::Orders, log.clone());
    let (one, other) = tokio::join!(one, rebuilt(&view, ViewName::Orders, log));
    for (_, ended) in [one, other] {
        // The second may also come after the first.
        assert!(matches!(ended.unwrap(), Ended::Elsewhere | Ended::Swapped { .. }));
    }
    assert_eq!(view.rows().await, live);
}

/// Reads until `stop`: each answer is 200, and no version goes back. How often it has read.
async fn read_on(client: reqwest::Client, base: String, stop: Arc<AtomicBool>) -> usize {
    const ORDERS: u128 = 20;
    let mut seen: BTreeMap<String, i64> = BTreeMap::new();
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        for n in 1..=ORDERS {
            let id = order_id(n);
            for (path, pointer) in [
                (format!("/orders/{id}"), "/version"),
                (format!("/orders/{id}/timeline"), "/transitions"),
                ("/customers/ada/orders".to_owned(), "/orders"),
                ("/products/TEA".to_owned(), "/on_hand"),
                ("/sales".to_owned(), "/sales/0/orders"),
                ("/customers".to_owned(), "/customers"),
            ] {
                let answer = client.get(format!("{base}{path}")).send().await.unwrap();
                let status = answer.status();
                let body: Value = answer.json().await.unwrap();
                assert_eq!(status, 200, "{path}: {body}");
                let found = body.pointer(pointer).unwrap_or(&Value::Null);
                let version = found.as_i64().or(found.as_array().map(|all| all.len() as i64));
                let version = version.unwrap_or_default();
                let before = seen.insert(path.clone(), version).unwrap_or_default();
                assert!(before <= version, "{path} goes back from {before}: {body}");
                reads += 1;
            }
        }
    }
    reads
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_feel_nothing_of_a_swap() {
    let mut view = Instance::start("swapped").await;
    let log = Records::default();
    let first = records_of_every_kind(&mut view, 20);
    log.push(&first);
    view.batch(&first);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(read_on(view.client.clone(), view.address(""), Arc::clone(&stop))))
        .collect();
    let rebuilder = view.another().await;
    let rebuilds = tokio::spawn({
        let (log, stop) = (log.clone(), Arc::clone(&stop));
        async move {
            let mut swaps = 0;
            for _ in 0..2 {
                for name in ViewName::ALL {
                    let (_, ended) = rebuilt(&rebuilder, name, log.clone()).await;
                    assert!(matches!(ended.unwrap(), Ended::Swapped { .. }), "{name}");
                    swaps += 1;
                }
            }
            stop.store(true, Ordering::Relaxed);
            swaps
        }
    });
    let mut n = 100;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let mut records = view.records(&confirmed_story(n));
        let level = stock("TEA", 100 + n as i64, 1000 + n as i64, 3);
        records.push(view.record(&STOCK, &level.sku, &level, "inventory"));
        // What is applied is in the log before.
        log.push(&records);
        let sent = tokio::task::block_in_place(|| view.batch(&records));
        assert_eq!(sent.versions(), [1, 2, 3, 4], "announced by the batch, and by it alone");
    }
    assert_eq!(rebuilds.await.unwrap(), 16);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let live = view.rows().await;
    for name in ViewName::ALL {
        rebuilt(&view, name, log.clone()).await.1.unwrap();
    }
    assert_eq!(view.rows().await, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_waits_for_a_session_that_holds_the_tables() {
    let mut view = Instance::start("held").await;
    let log = Records::default();
    let records = records_of_every_kind(&mut view, 20);
    log.push(&records);
    view.batch(&records);
    let live = view.rows().await;
    let mut backup = view.connect().await;
    let mut reading = backup.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM sales").execute(&mut *reading).await.unwrap();
    let rebuild = rebuilt(&view, ViewName::Sales, log);
    let release = async {
        wait_for("the swap to be held up", PATIENCE, || async {
            let status = view.get("/views/sales").await;
            match status["rebuild"]["problem"].as_str() {
                Some(problem) if problem.contains("pg_dump") => Ok(()),
                _ => Err(status),
            }
        })
        .await;
        assert_eq!(view.ask("/sales").await.status(), 200);
        reading.commit().await.unwrap();
    };
    let ((_, ended), ()) = tokio::join!(rebuild, release);
    assert!(matches!(ended.unwrap(), Ended::Swapped { .. }));
    assert_eq!(view.rows().await, live);
    assert_eq!(view.get("/views/sales").await["rebuild"], Value::Null);
}

/// Also a measurement of what decoding and the tables allow, without Kafka:
/// `REBUILD_ORDERS=50000 cargo test --release -p view --test service -- --nocapture portions_of`.
#[tokio::test(flavor = "multi_thread")]
async fn portions_of_any_size_give_the_same_rows() {
    let orders = std::env::var("REBUILD_ORDERS").map_or(2_000, |orders| orders.parse().unwrap());
    let mut view = Instance::start("any_size").await;
    let log = Records { at_once: Some(usize::MAX), ..Records::default() };
    let numbers: Vec<u128> = (0..orders).collect();
    for numbers in numbers.chunks(1_000) {
        let stories: Vec<Order> = numbers.iter().flat_map(|n| confirmed_story(*n)).collect();
        let records = view.records(&stories);
        log.push(&records);
        view.batch(&records);
    }
    let live = view.rows().await;
    for name in ViewName::ALL {
        let begun = std::time::Instant::now();
        let ended = rebuilt(&view, name, log.clone()).await.1.unwrap();
        let Ended::Swapped { records } = ended else { panic!("{name}: {ended:?}") };
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name}: {records} records in {seconds:.1} s: {:.0}/s", records as f64 / seconds);
    }
    assert!(view.rows().await == live, "the rows are others");
}
