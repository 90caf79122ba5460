//! [`Servers`]: what is broken through the servers' own interfaces, and mended there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::State;
use contracts::{
    ServiceName,
    topics::{self, TopicSpec},
};
use reqwest::Client;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use streams_kafka::{
    admin,
    dlq::{self, DeadLetter, Done},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The logins of Debezium: the one of an open shop, and those of a secured one.
const CONNECTORS: &str = "'debezium', 'catalog-connector', 'outbox-connector'";

/// The bank, the mail server, Connect, PostgreSQL and Kafka of a shop.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    http: Client,
    bank: String,
    mail: String,
    connect: String,
    /// A database that is never read-only, for the super user.
    postgres: String,
    kafka: String,
    /// The same for one who may write garbage.
    kafka_admin: String,
}

impl Servers {
    /// Those of the shop that `state` describes.
    ///
    /// # Errors
    /// When it has not all of them.
    pub(super) fn of(state: &State) -> Result<Self> {
        let url = |name| state.url(name).map(ToOwned::to_owned);
        Ok(Self {
            http: Client::builder().timeout(TIMEOUT).build()?,
            bank: url("bank")?,
            mail: url("mail")?,
            connect: url("connect")?,
            postgres: state.postgres_admin("catalog")?.to_owned(),
            kafka: url("kafka")?,
            kafka_admin: state.kafka_admin()?.to_owned(),
        })
    }

    /// Sets the faults of the bank simulator; `{}` is a good day.
    pub(super) async fn bank(&self, faults: &Value) -> Result<()> {
        self.put("the bank", format!("{}/faults", self.bank), faults).await
    }

    /// Sets the faults of the mail sink; `{}` is a good day.
    pub(super) async fn mail(&self, faults: &Value) -> Result<()> {
        self.put("the mail sink", format!("{}/faults", self.mail), faults).await
    }

    /// Tells Connect to `stop`, `pause` or `resume` a connector.
    pub(super) async fn connector(&self, name: &str, what: &str) -> Result<()> {
        let url = format!("{}/connectors/{name}/{what}", self.connect);
        self.put("Connect", url, &Value::Null).await
    }

    async fn put(&self, who: &str, url: String, body: &Value) -> Result<()> {
        let put = self.http.put(&url).json(body).send().await;
        let status = put.with_context(|| format!("{who} does not answer"))?.status();
        ensure!(status.is_success(), "{who} answers {status} to PUT {}", client::place(&url));
        Ok(())
    }

    /// Kills the sessions of the connectors that read `database`.
    pub(super) async fn cut_off(&self, database: &str) -> Result<()> {
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{database}' AND usename IN ({CONNECTORS})"
        ))
        .await
    }

    /// Lets new sessions in `database` only read, and ends those of the services; or lets new ones
    /// write again, and leaves those of that time to the services.
    pub(super) async fn read_only(&self, database: &str, on: bool) -> Result<()> {
        let setting = if on { "SET default_transaction_read_only = on" } else { "RESET ALL" };
        self.sql(&format!("ALTER DATABASE {database} {setting}")).await?;
        if !on {
            return Ok(());
        }
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' \
             AND usename NOT IN ({CONNECTORS}) AND backend_type = 'client backend'"
        ))
        .await
    }

    async fn sql(&self, sql: &str) -> Result<()> {
        let run = async {
            let mut connection = PgConnection::connect(&self.postgres).await?;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
            anyhow::Ok(())
        };
        tokio::time::timeout(TIMEOUT, run).await.context("PostgreSQL does not answer")?
    }

    /// Writes `bytes` that are no message.
    pub(super) async fn litter(&self, litter: &Litter, bytes: usize) -> Result<()> {
        let (kafka, Litter { topic, key }) = (self.kafka_admin.clone(), litter.clone());
        let write = move || admin::produce_raw(&kafka, topic, key.as_bytes(), &vec![1; bytes]);
        tokio::task::spawn_blocking(write).await?
    }

    /// Discards the dead letters of `litter`, as an operator does; how many. Every reader of its
    /// topic must have put it aside.
    ///
    /// # Errors
    /// When one has not yet, or Kafka does not answer.
    pub(super) async fn sweep(&self, litter: &Litter) -> Result<usize> {
        let (servers, litter) = (self.clone(), litter.clone());
        tokio::task::spawn_blocking(move || servers.sweep_now(&litter)).await?
    }

    fn sweep_now(&self, Litter { topic, key }: &Litter) -> Result<usize> {
        let mut all = Vec::new();
        for service in ServiceName::by_default() {
            let is_reader = service.spec().handles().any(|handled| handled.name == topic.name);
            let mut letters = dlq::list(&self.kafka, topics::dlq(service))?;
            letters.retain(|letter| letter.record.key.as_deref() == Some(key.as_bytes()));
            ensure!(
                !is_reader || !letters.is_empty(),
                "{service} has not put {key} of {} aside",
                topic.name
            );
            all.extend(letters);
        }
        let open: Vec<&DeadLetter> = all.iter().filter(|letter| letter.done.is_none()).collect();
        for letter in &open {
            dlq::settle(&self.kafka, letter, Done::Discarded, &topics::ALL)?;
        }
        Ok(open.len())
    }
}

/// Garbage that was written, by its key.
#[derive(Clone, Debug)]
pub(super) struct Litter {
    pub(super) topic: &'static TopicSpec,
    pub(super) key: String,
}

impl Litter {
    /// On the topic of this name, under a key of its own.
    ///
    /// # Errors
    /// When there is no such topic.
    pub(super) fn on(topic: &str) -> Result<Self> {
        let found = topics::ALL.into_iter().find(|spec| spec.name == topic);
        let topic = found.with_context(|| format!("there is no topic {topic}"))?;
        Ok(Self { topic, key: format!("garbage-{}", uuid::Uuid::new_v4()) })
    }
}
