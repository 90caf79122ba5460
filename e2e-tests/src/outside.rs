//! [`Outside`]: a shop as its customers, its bank, its mail server and its operator see it.

use anyhow::{Context, Result, ensure};
use client::{OrderClient, Shop, order_body};
use contracts::OrderId;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest wait for anything that the shop promises. What it waits for may need a server to start.
pub const PATIENCE: Duration = client::HEALTHY_WITHIN;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// `content-type`.
    pub content_type: String,
    /// The body, null if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The paths of the fields that a problem names.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array();
        errors.into_iter().flatten().filter_map(|error| error["field"].as_str()).collect()
    }
}

/// A shop, from outside. Cheap to clone.
#[derive(Clone)]
pub struct Outside {
    shop: &'static Shop,
    http: reqwest::Client,
    customer: OrderClient,
}

impl Outside {
    /// The outside of `shop`.
    pub fn new(shop: &'static Shop) -> Self {
        let customer = OrderClient::of(shop.state());
        let customer = customer.expect("an HTTP client can be made");
        Self { shop, http: reqwest::Client::new(), customer }
    }

    /// The shop itself, to stop and kill its processes.
    pub fn shop(&self) -> &'static Shop {
        self.shop
    }

    /// `http://.../path` of a process.
    pub fn at(&self, process: &str, path: &str) -> String {
        format!("{}{path}", self.shop.url(process))
    }

    /// A customer who sends a request again until it is answered.
    pub fn customer(&self) -> &OrderClient {
        &self.customer
    }

    /// Send a request.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
        Ok(Answer { status, content_type, body })
    }

    /// `GET` from a process.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, process: &str, path: &str) -> Result<Answer> {
        self.send(self.http.get(self.at(process, path)).timeout(PATIENCE)).await
    }

    /// `GET` from a process that answers with text.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub async fn text(&self, process: &str, path: &str) -> Result<String> {
        let request = self.http.get(self.at(process, path)).timeout(PATIENCE);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// A `POST` to a process, to be sent.
    pub fn post(&self, process: &str, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.at(process, path)).timeout(PATIENCE).json(body)
    }

    /// A `POST` to a process with a body of our own, to be sent.
    pub fn post_raw(&self, process: &str, path: &str, body: impl Into<String>) -> RequestBuilder {
        let request = self.http.post(self.at(process, path)).timeout(PATIENCE);
        request.header("content-type", "application/json").body(body.into())
    }

    /// Set the bank's faults; `{}` is a good day.
    ///
    /// # Errors
    /// When the bank does not answer.
    pub async fn bank_faults(&self, faults: &Value) -> Result<()> {
        self.faults("bank", faults).await
    }

    /// Set the faults of the mail sink; `{}` is a good day. Mailpit, in containers, has none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn mail_faults(&self, faults: &Value) -> Result<()> {
        self.faults("mail", faults).await
    }

    async fn faults(&self, process: &str, faults: &Value) -> Result<()> {
        let answer = self.send(self.http.put(self.at(process, "/faults")).json(faults)).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        Ok(())
    }

    /// Give the connector `name` these settings.
    ///
    /// # Errors
    /// When Connect does not take them.
    pub async fn configure(&self, name: &str, settings: &Value) -> Result<()> {
        let url = self.at("connect", &format!("/connectors/{name}/config"));
        let answer = self.send(self.http.put(url).json(settings)).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        Ok(())
    }

    /// Place an order.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn place(&self, customer: &str, order: &[(&str, i64)]) -> Result<OrderId> {
        let body = order_body(customer, order);
        let answer = self.send(self.post("orders", "/orders", &body)).await?;
        ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
        order_id(&answer)
    }

    /// Place an order, and send it again under the same key while the shop is away.
    ///
    /// # Errors
    /// When it is refused for good, or not accepted in [`PATIENCE`].
    pub async fn place_at_last(&self, customer: &str, order: &[(&str, i64)]) -> Result<OrderId> {
        let (key, body) = (Uuid::new_v4().to_string(), order_body(customer, order));
        let refused = |why| eprintln!("refused: {why}");
        self.customer().place(&key, &body, PATIENCE, refused).await?.accepted()
    }

    /// Ask for a cancellation.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn cancel(&self, order: OrderId) -> Result<Answer> {
        let path = format!("/orders/{order}/cancellation");
        self.send(self.post("orders", &path, &Value::Null)).await
    }

    /// The order once it is settled.
    ///
    /// # Errors
    /// When it is not settled in [`PATIENCE`], with the last state seen.
    pub async fn settled(&self, order: OrderId) -> Result<Value> {
        self.waited(order, "settled").await
    }

    /// The order, which is settled and confirmed.
    ///
    /// # Errors
    /// When it is not settled in [`PATIENCE`], or has another outcome: with the last state seen.
    pub async fn confirmed(&self, order: OrderId) -> Result<Value> {
        let settled = self.settled(order).await?;
        ensure!(settled["status"] == "confirmed", "{order} is not confirmed: {settled:#}");
        Ok(settled)
    }

    /// The order once it is `validated` or `settled`.
    ///
    /// # Errors
    /// When it is not in [`PATIENCE`], with the last state seen.
    pub async fn waited(&self, order: OrderId, wait: &str) -> Result<Value> {
        const TERMINAL: [&str; 5] = ["confirmed", "rejected", "cancelled", "refunded", "refused"];
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            match self.get("view", &format!("/orders/{order}?wait={wait}&timeout=5000")).await {
                Ok(answer) => {
                    let status = answer.body["status"].as_str().unwrap_or_default();
                    let version = answer.body["version"].as_i64().unwrap_or(0);
                    let done = TERMINAL.contains(&status) || wait == "validated" && version >= 2;
                    if answer.status == StatusCode::OK && done {
                        return Ok(answer.body);
                    }
                    last = format!("{answer:?}");
                }
                // The view itself may be down for a while.
                Err(error) => {
                    last = format!("{error:#}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        anyhow::bail!("{order} is not {wait} after {PATIENCE:?}; last seen: {last}")
    }

    /// Whether the view, or the order's answer, holds; asked again until it does.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn order(&self, order: OrderId) -> Result<Answer> {
        self.get("view", &format!("/orders/{order}")).await
    }

    /// The transitions of the order, as the view's timeline has them.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn timeline(&self, order: OrderId) -> Result<Vec<Value>> {
        let answer = self.get("view", &format!("/orders/{order}/timeline")).await?;
        answer.body["transitions"].as_array().cloned().with_context(|| format!("{answer:?}"))
    }

    /// The product as the view shows it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn product(&self, sku: &str) -> Result<Value> {
        let answer = self.get("view", &format!("/products/{sku}")).await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(answer.body)
    }

    /// Everything that the bank has booked.
    ///
    /// # Errors
    /// When the bank does not answer.
    pub async fn statement(&self) -> Result<Vec<Value>> {
        let answer = self.get("bank", "/statement?limit=10000").await?;
        answer.body["entries"].as_array().cloned().with_context(|| format!("{answer:?}"))
    }

    /// What the bank has booked for the order: `capture`, `void`, `refund`.
    ///
    /// # Errors
    /// When the bank does not answer.
    pub async fn booked(&self, order: OrderId) -> Result<Vec<String>> {
        let entries = self.statement().await?;
        let ours = entries.iter().filter(|entry| entry["key"] == order.to_string());
        Ok(ours.map(|entry| entry["kind"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// The Message-IDs of all mails in the mail sink.
    ///
    /// # Errors
    /// When the mail sink does not answer.
    pub async fn message_ids(&self) -> Result<Vec<String>> {
        let answer = self.get("mail", "/api/v1/messages?limit=5000").await?;
        let messages = answer.body["messages"].as_array().with_context(|| format!("{answer:?}"))?;
        Ok(messages.iter().filter_map(|m| m["MessageID"].as_str()).map(str::to_owned).collect())
    }

    /// The kinds of the mails about the order: `confirmation`, `cancellation`...
    ///
    /// # Errors
    /// When the mail sink does not answer.
    pub async fn mails(&self, order: OrderId) -> Result<Vec<String>> {
        let ids = self.message_ids().await?;
        let kind = |id: &String| {
            let rest = id.strip_prefix(&format!("{order}."))?;
            Some(rest.split_once('@')?.0.to_owned())
        };
        Ok(ids.iter().filter_map(kind).collect())
    }

    /// Run SQL in one of the databases: `catalog`, `payments`, `view`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<()> {
        run_sql(self.shop.url(&format!("postgres.{database}")), sql).await
    }

    /// Run SQL that is about the server as its super user, from the database of payments.
    ///
    /// # Errors
    /// When it fails.
    pub async fn sql_as_admin(&self, sql: &str) -> Result<()> {
        run_sql(self.shop.postgres_admin("payments"), sql).await
    }

    /// Run `shop ARGS` against this shop; what it printed, and whether it was content.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn cli(&self, args: &[&str]) -> Result<(bool, String)> {
        let program = client::program()?;
        let dir = &self.shop.state().dir;
        let output =
            tokio::process::Command::new(program).args(args).arg("--dir").arg(dir).output().await?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }
}

async fn run_sql(url: &str, sql: &str) -> Result<()> {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    Ok(())
}

/// The id in the answer to a POST.
fn order_id(answer: &Answer) -> Result<OrderId> {
    let id = answer.body["order_id"].as_str().with_context(|| format!("{answer:?}"))?;
    Ok(id.parse()?)
}
