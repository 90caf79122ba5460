//! A view under test: a processor to feed, and an HTTP server to ask.

use crate::stories::{NOON, writer};
use contracts::{
    Order, OrderId, Timestamp,
    avro::Message,
    partition::{self, partition_for},
    topics::{self, Key, ORDERS, Topic, TopicSpec},
    view::ViewUpdated,
};
use reqwest::{Client, Response, header::HeaderValue};
use serde_json::Value;
use service_kit::{
    Callers, Health, Limits, Metrics, Shutdown, postgres::Database, waiters::Waiters,
};
use sqlx::{Connection, PgConnection};
use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};
use streams::{
    Codec, Failure, Headers, MemoryRegistry, MemoryStore, Outgoing, Processor, Record, Tx,
    record::names, tx::dlq_names,
};
use testkit::{Proxy, postgres::Postgres};
use tokio::runtime::Handle;
use view::{
    adapters::{self, BlockingPostgres, Postgres as Tables, Served},
    feed::{Changes, Feed},
    freshness::Freshness,
    http::{self, App, LastBatons, OrderLooks, Page, Streams},
    processor::ViewProcessor,
    rebuild::Rebuilds,
};

/// Event streams that an instance may have.
pub(crate) const STREAMS_MAX: usize = 4;

/// One instance of the view.
pub(crate) struct Instance {
    /// The processor's clock.
    pub(crate) now: Timestamp,
    pub(crate) tables: Tables,
    pub(crate) waiters: Waiters<OrderId, ()>,
    pub(crate) streams: Streams,
    pub(crate) client: Client,
    base: String,
    url: String,
    shutdown: Shutdown,
    processor: ViewProcessor<BlockingPostgres>,
    app: App,
    codec: Codec,
    /// Next offsets of the log.
    offsets: BTreeMap<(&'static str, i32), i64>,
    /// Ends with its last user.
    postgres: Arc<Postgres>,
}

/// What a batch has sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) announced: Vec<ViewUpdated>,
    pub(crate) dead_letters: Vec<String>,
}

impl Sent {
    /// Order versions that were announced.
    pub(crate) fn versions(&self) -> Vec<i64> {
        self.announced.iter().map(|update| update.view_version).collect()
    }
}

impl Instance {
    /// An instance on a new database called `name`.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_on(Postgres::shared().await.unwrap(), name, 1024).await
    }

    /// Another instance on the same database, behind a proxy; it asks its listener after `silence`.
    pub(crate) async fn behind(&self, proxy: &Proxy, silence: Duration) -> Self {
        let name = self.url.rsplit('/').next().unwrap();
        let url = format!("postgres://postgres@{}/{name}", proxy.address());
        Self::open(Arc::clone(&self.postgres), url, self.codec.clone(), 1024, silence).await
    }

    /// The URL of another database on the same server.
    pub(crate) async fn new_database(&self, name: &str) -> String {
        self.postgres.database(name).await.unwrap()
    }

    /// The URL of this instance's database.
    pub(crate) fn database_url(&self) -> &str {
        &self.url
    }

    /// Where the database's server listens.
    pub(crate) fn server(&self) -> String {
        self.url.split(['@', '/']).nth(3).unwrap().to_owned()
    }

    /// The same on a server of its own, or with less room for waiting requests.
    pub(crate) async fn start_on(postgres: Arc<Postgres>, name: &str, waiters_max: usize) -> Self {
        let url = postgres.database(name).await.unwrap();
        let codec = Codec::new(Arc::new(MemoryRegistry::default()));
        Self::open(postgres, url, codec, waiters_max, adapters::SILENCE_MAX).await
    }

    /// The same view on another port, for `callers`; its address.
    pub(crate) async fn serve_for(&self, callers: &Callers) -> String {
        let (health, metrics) = (Health::new(), Metrics::default());
        let (any, limits) = ("127.0.0.1:0".parse().unwrap(), Limits::default());
        let (told, shutdown) = ((&health, &metrics, callers), self.shutdown.clone());
        let routes = http::router(self.app.clone()).unwrap();
        let server = service_kit::serve(any, routes, told, limits, shutdown);
        format!("http://{}", server.await.unwrap().local_addr())
    }

    /// Ends all that it serves.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Another instance on the same database; also what a restart makes.
    pub(crate) async fn another(&self) -> Self {
        let (postgres, codec) = (Arc::clone(&self.postgres), self.codec.clone());
        Self::open(postgres, self.url.clone(), codec, 1024, adapters::SILENCE_MAX).await
    }

    async fn open(
        postgres: Arc<Postgres>,
        url: String,
        codec: Codec,
        waiters_max: usize,
        silence: Duration,
    ) -> Self {
        let (tables, freshness) = (Tables::new(&url.parse().unwrap()), Freshness::default());
        let (waiters, shutdown) = (Waiters::new(waiters_max), Shutdown::new());
        let served = Served::default();
        tables.progress().await.unwrap();
        let health = Health::new();
        let (database, check) = (tables.database().clone(), health.check("notifications"));
        let (feed, (streams, writers)) = (Feed::new(database.clone()), Streams::new(STREAMS_MAX));
        let changes = Changes { waiters: waiters.clone(), feed: feed.clone() };
        let relay = adapters::relay(database, changes, silence, check, shutdown.clone());
        tokio::spawn(relay);
        tokio::spawn(feed.clone().run(health.check("feed"), shutdown.clone()));
        tokio::spawn(writers.run(health.check("streams"), shutdown.clone()));
        let check = health.check("database");
        let watch = adapters::watch(
            tables.clone(),
            (freshness.clone(), served.clone()),
            check,
            shutdown.clone(),
        );
        tokio::spawn(watch);
        let app = App {
            database: tables.database().clone(),
            waiters: waiters.clone(),
            looks: OrderLooks::default(),
            batons: LastBatons::default(),
            feed,
            streams: streams.clone(),
            page: Page::new("http://127.0.0.1:8080", None).unwrap(),
            freshness: freshness.clone(),
            rebuilds: Rebuilds::default(),
            shutdown: shutdown.clone(),
        };
        let (any, limits) = ("127.0.0.1:0".parse().unwrap(), http::limits(waiters_max));
        let routes = http::router(app.clone()).unwrap();
        let metrics = Metrics::default();
        adapters::export(&freshness, &served, &metrics.meters());
        let told = (&health, &metrics, &Callers::open());
        let server = service_kit::serve(any, routes, told, limits, shutdown.clone());
        let base = format!("http://{}", server.await.unwrap().local_addr());
        let repository = BlockingPostgres::new(tables.clone(), Handle::current());
        let processor = ViewProcessor::new(repository, freshness);
        let (client, offsets) = (Client::new(), BTreeMap::new());
        Self {
            now: NOON,
            tables,
            waiters,
            streams,
            client,
            base,
            url,
            shutdown,
            processor,
            app,
            codec,
            offsets,
            postgres,
        }
    }

    /// What encodes its records.
    pub(crate) fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Offsets without a record, such as those of transaction markers.
    pub(crate) fn skip(&mut self, topic: &'static TopicSpec) {
        for partition in 0..partition::count() {
            *self.offsets.entry((topic.name, partition)).or_default() += 1;
        }
    }

    /// The record that `source` would write, at the next offset of its partition.
    pub(crate) fn record<K: Key, V: Message>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        message: &V,
        source: &str,
    ) -> Record {
        let value = self.codec.encode(&topic.spec, message).unwrap();
        let mut record = self.raw_record(topic, key, value);
        record.headers.push(names::SOURCE, source);
        record
    }

    /// A record of these bytes, at the next offset of its partition.
    pub(crate) fn raw_record<K: Key, V>(
        &mut self,
        topic: &'static Topic<K, V>,
        key: &K,
        value: Vec<u8>,
    ) -> Record {
        let key = key.to_bytes();
        let partition = partition_for(&key, partition::count());
        let next = self.offsets.entry((topic.name(), partition)).or_default();
        let offset = *next;
        *next += 1;
        Record {
            topic: topic.name().into(),
            partition,
            offset,
            timestamp_ms: self.now.millis(),
            key: Some(key),
            value: Some(value),
            headers: Headers::default(),
        }
    }

    /// The records that the owners of these transitions would write.
    pub(crate) fn records(&mut self, orders: &[Order]) -> Vec<Record> {
        let record = |o: &Order| self.record(&ORDERS, &o.order_id, o, writer(o));
        orders.iter().map(record).collect()
    }

    /// Feed `records` in one batch, on a thread of its own, as the processor does. To crash before
    /// Kafka's commit is to forget the answer.
    pub(crate) fn try_batch(&mut self, records: &[Record]) -> Result<Sent, Failure> {
        tokio::task::block_in_place(|| {
            thread::scope(|scope| scope.spawn(|| self.run_batch(records)).join().unwrap())
        })
    }

    fn run_batch(&mut self, records: &[Record]) -> Result<Sent, Failure> {
        let (state, processor) = (MemoryStore::default(), &mut self.processor);
        let mut tx = Tx::new(&state, &self.codec, self.now);
        for record in records {
            tx.begin(record);
            match processor.process(record, &mut tx) {
                Ok(()) => tx.keep(),
                Err(Failure::Poison(cause)) => tx.dead_letter(record, &cause),
                Err(failure) => return Err(failure),
            }
        }
        for partition in 0..partition::count() {
            tx.begin_partition(partition);
            processor.tick(&mut tx)?;
            tx.keep();
        }
        if let Err(failure) = processor.flush(&mut tx) {
            processor.reset();
            return Err(failure);
        }
        let (sent, ..) = tx.into_parts();
        let dead = topics::dlq(contracts::ServiceName::View).name;
        let (dead, live): (Vec<Outgoing>, Vec<Outgoing>) =
            sent.into_iter().partition(|outgoing| outgoing.topic == dead);
        let cause = |o: &Outgoing| o.headers.get(dlq_names::CAUSE).unwrap().to_owned();
        let update = |o: &Outgoing| {
            self.codec.decode(&topics::ORDER_VIEWS, o.value.as_deref().unwrap()).unwrap()
        };
        Ok(Sent {
            announced: live.iter().map(update).collect(),
            dead_letters: dead.iter().map(cause).collect(),
        })
    }

    /// The same, where nothing may fail.
    pub(crate) fn batch(&mut self, records: &[Record]) -> Sent {
        self.try_batch(records).unwrap()
    }

    /// Every partition was read to its end, by the processor's clock.
    pub(crate) fn caught_up(&mut self) {
        for partition in 0..partition::count() {
            self.processor.caught_up(partition, self.now);
        }
    }

    /// Feed these transitions in one batch.
    pub(crate) fn feed(&mut self, orders: &[Order]) -> Sent {
        let records = self.records(orders);
        self.batch(&records)
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn ask(&self, path: &str) -> Response {
        self.client.get(self.address(path)).send().await.unwrap()
    }

    /// The answer to a client that has the content of `tag`.
    pub(crate) async fn ask_again(&self, path: &str, tag: &HeaderValue) -> Response {
        let request = self.client.get(self.address(path)).header("if-none-match", tag);
        request.send().await.unwrap()
    }

    /// The answer, which must be 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.ask(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// The answer, which must be this problem.
    pub(crate) async fn problem(&self, path: &str, status: u16) -> Value {
        let response = self.ask(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        response.json().await.unwrap()
    }

    /// A connection of another program.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// What an operator does to the database, on a connection of their own.
    pub(crate) async fn sql(&self, statements: &'static str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }

    /// The connections of this instance.
    pub(crate) fn database(&self) -> &Database {
        self.tables.database()
    }

    /// Every row of the views, for comparison.
    pub(crate) async fn rows(&self) -> Vec<(String, String)> {
        const DUMP: &str = "
            SELECT 'orders', to_jsonb(t)::text FROM orders AS t
            UNION ALL SELECT 'timeline', to_jsonb(t)::text FROM timeline AS t
            UNION ALL SELECT 'customer_orders', to_jsonb(t)::text FROM customer_orders AS t
            UNION ALL SELECT 'products', to_jsonb(t)::text FROM products AS t
            UNION ALL SELECT 'order_versions', to_jsonb(t)::text FROM order_versions AS t
            UNION ALL SELECT 'customers', to_jsonb(t)::text FROM customers AS t
            UNION ALL SELECT 'stock', to_jsonb(t)::text FROM stock AS t
            UNION ALL SELECT 'sales', to_jsonb(t)::text FROM sales AS t
            UNION ALL SELECT 'refusals', to_jsonb(t)::text FROM refusals AS t
            ORDER BY 1, 2";
        sqlx::query_as(DUMP).fetch_all(self.database().pool()).await.unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
