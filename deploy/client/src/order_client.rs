//! [`OrderClient`]: places orders as a careful client does, so that none is lost and none is
//! doubled.
//!
//! Every POST has an `Idempotency-Key`. One that meets 429, 503 or silence is sent again under the
//! same key, after what `Retry-After` asks for (RFC 9110, 10.2.3), or else with growing delays.
//! Customers with other [`Manners`] do not heed that, or leave.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contracts::{OrderId, Status};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use streams::Backoff;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::badge::Badge;
use crate::state::State;

/// Longer than any service takes to say that it cannot answer now.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Where a shop takes orders, takes goods in, and shows what became of an order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OrderClient {
    http: Client,
    orders: String,
    view: String,
    badge: Badge,
    manners: Manners,
    turns: Option<Arc<Semaphore>>,
}

/// What a customer does whose order is refused with 429 or 503.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Manners {
    /// Sends it again when `Retry-After` says.
    #[default]
    Patient,
    /// Sends it again at once, or nearly so.
    Hasty,
    /// Leaves.
    Leaves,
}

/// An HTTP answer other than "not now".
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
}

/// What the view says of an order.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderView {
    /// Such as `validated`, or `refused` for a command that changed nothing.
    pub status: String,
    /// How many transitions it went through.
    #[serde(default)]
    pub version: i64,
    /// Why it ended as it did.
    #[serde(default)]
    pub reasons: Vec<Value>,
    /// Commands that changed nothing: for a refused order, why it was.
    #[serde(default)]
    pub refusals: Vec<Value>,
}

/// How an accepted order ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// In this status, which is terminal.
    Settled(Status),
    /// The command changed nothing.
    Refused,
}

impl Outcome {
    /// Its name in the view.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled(status) => status.as_str(),
            Self::Refused => "refused",
        }
    }
}

impl OrderView {
    /// How it ended; None while a service holds the baton.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        if self.status == "refused" {
            return Some(Outcome::Refused);
        }
        let mut terminal = Status::ALL.into_iter().filter(|status| status.is_terminal());
        terminal.find(|status| status.as_str() == self.status).map(Outcome::Settled)
    }
}

/// The body of an order.
#[must_use]
pub fn order_body<S: AsRef<str>>(customer: &str, lines: &[(S, i64)]) -> Value {
    let lines =
        lines.iter().map(|(sku, quantity)| json!({ "sku": sku.as_ref(), "quantity": quantity }));
    json!({ "customer_id": customer, "lines": lines.collect::<Value>() })
}

impl OrderClient {
    /// A client of the services at these base URLs.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(orders: &str, view: &str) -> Result<Self> {
        let http = Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        let (orders, view, badge) = (base(orders), base(view), Badge::default());
        let manners = Manners::default();
        Ok(Self { http: http.build()?, orders, view, badge, manners, turns: None })
    }

    /// A client of the shop that `state` describes, with the badge of its staff.
    ///
    /// # Errors
    /// When the shop has no such services, or its issuer's key cannot be read.
    pub fn of(state: &State) -> Result<Self> {
        let client = Self::new(state.url("orders")?, state.url("view")?)?;
        Ok(client.with_badge(Badge::staff(state)?))
    }

    /// The same client, who shows `badge` with each request.
    #[must_use]
    pub fn with_badge(self, badge: Badge) -> Self {
        Self { badge, ..self }
    }

    /// The same, for customers with these manners. A cancellation is always patient.
    #[must_use]
    pub fn with_manners(self, manners: Manners) -> Self {
        Self { manners, ..self }
    }

    /// The same, of which `turns` requests at a time are under way: the others wait for their turn.
    /// A customer who waits before it comes again has none.
    #[must_use]
    pub fn with_turns(self, turns: usize) -> Self {
        Self { turns: Some(Arc::new(Semaphore::new(turns))), ..self }
    }

    /// Sends an order under `key` until it is answered, or refused to a customer who leaves.
    ///
    /// # Errors
    /// When it is not answered within `patience`, with what was seen last.
    pub async fn place(
        &self,
        key: &str,
        body: &Value,
        patience: Duration,
        not_now: impl FnMut(NotNow),
    ) -> Result<Answer> {
        let url = format!("{}/orders", self.orders);
        let post = || self.http.post(&url).header("Idempotency-Key", key).json(body);
        let request = || self.badge.on(post());
        self.insist(self.manners, request, patience, not_now).await
    }

    /// Asks for a cancellation under `key` until that is answered.
    ///
    /// # Errors
    /// When it is not answered within `patience`, with what was seen last.
    pub async fn cancel(
        &self,
        order: OrderId,
        key: &str,
        patience: Duration,
        not_now: impl FnMut(NotNow),
    ) -> Result<Answer> {
        let url = format!("{}/orders/{order}/cancellation", self.orders);
        let request = || self.badge.on(self.http.post(&url).header("Idempotency-Key", key));
        self.insist(Manners::Patient, request, patience, not_now).await
    }

    /// Takes goods in at the inventory at this base URL, once for each `command`, until that is
    /// answered.
    ///
    /// # Errors
    /// When it is not answered within `patience`, with what was seen last.
    pub async fn restock(
        &self,
        inventory: &str,
        (sku, quantity): (&str, i64),
        command: Uuid,
        patience: Duration,
        not_now: impl FnMut(NotNow),
    ) -> Result<Answer> {
        let url = format!("{inventory}/stock/{sku}/restock");
        let body = json!({ "command_id": command, "quantity": quantity });
        let request = || self.badge.on(self.http.post(&url).json(&body));
        self.insist(Manners::Patient, request, patience, not_now).await
    }

    /// The order as the view shows it now; None while the view does not know it.
    ///
    /// # Errors
    /// When the view does not answer, or not with an order.
    pub async fn order(&self, order: OrderId) -> Result<Option<OrderView>> {
        self.look(&self.order_url(order)).await
    }

    /// What the view answers to `GET /orders/{order}/timeline`; None while it does not know the
    /// order.
    ///
    /// # Errors
    /// When the view does not answer, or not with a timeline.
    pub async fn timeline<T: serde::de::DeserializeOwned>(
        &self,
        order: OrderId,
    ) -> Result<Option<T>> {
        self.look(&format!("{}/timeline", self.order_url(order))).await
    }

    /// Where the view shows the order.
    #[must_use]
    pub fn order_url(&self, order: OrderId) -> String {
        format!("{}/orders/{order}", self.view)
    }

    /// Sends a request until it is answered with something else than "not now", or its customer
    /// leaves.
    async fn insist(
        &self,
        manners: Manners,
        request: impl Fn() -> RequestBuilder,
        patience: Duration,
        mut not_now: impl FnMut(NotNow),
    ) -> Result<Answer> {
        let mut started = None;
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            let turn = match &self.turns {
                Some(turns) => Some(turns.acquire().await?),
                None => None,
            };
            let started = *started.get_or_insert_with(Instant::now);
            let exchanged = exchange(request()).await;
            drop(turn);
            let (why, last, asked) = match exchanged {
                Ok((answer, retry_after_s)) if matches!(answer.status, 429 | 503) => {
                    let why = NotNow::Busy { status: answer.status, retry_after_s };
                    if manners == Manners::Leaves {
                        not_now(why);
                        return Ok(answer);
                    }
                    (why, answer.problem(), retry_after_s)
                }
                Ok((answer, _)) => return Ok(answer),
                Err(error) => (NotNow::Silence, format!("{:#}", anyhow::Error::from(error)), None),
            };
            not_now(why);
            let asked = asked.filter(|_| manners == Manners::Patient).map(Duration::from_secs);
            // Never sooner than asked for, and never all at the same moment.
            let delay = backoff.next() + asked.unwrap_or_default();
            if started.elapsed() + delay > patience {
                bail!("not answered within {} s; last seen: {last}", patience.as_secs());
            }
            tokio::time::sleep(delay).await;
        }
    }

    async fn look<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<Option<T>> {
        let answer = self.badge.on(self.http.get(url)).send().await;
        let answer = answer.with_context(|| format!("no answer at {url}"))?;
        match answer.status().as_u16() {
            404 => Ok(None),
            200 => {
                let body = answer.json().await;
                body.map(Some).with_context(|| format!("{url} answers something unexpected"))
            }
            _ => bail!("{url}: {}", read(answer).await?.problem()),
        }
    }
}

impl Answer {
    /// The id of the order that was accepted.
    ///
    /// # Errors
    /// When it was not accepted; the message is the problem in words.
    pub fn accepted(&self) -> Result<OrderId> {
        if self.status != 202 {
            bail!("the order was not accepted: {}", self.problem());
        }
        let id = self.body["order_id"].as_str().context("orders answered without an order_id")?;
        Ok(id.parse()?)
    }

    /// A problem+json answer (RFC 9457) in words.
    #[must_use]
    pub fn problem(&self) -> String {
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut words = text(&self.body, "title");
        let detail = text(&self.body, "detail");
        if !detail.is_empty() && detail != words {
            words = format!("{words}: {detail}");
        }
        for error in self.body.get("errors").and_then(Value::as_array).into_iter().flatten() {
            words = format!("{words}\n  {}: {}", text(error, "field"), text(error, "detail"));
        }
        if words.is_empty() { format!("status {}: {}", self.status, self.body) } else { words }
    }
}

/// Why a request has to be sent again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum NotNow {
    /// The service says so.
    Busy {
        /// 429 or 503.
        status: u16,
        /// After how many seconds it says to come again, if it does.
        retry_after_s: Option<u64>,
    },
    /// No answer: no process listens, the connection broke, or the time was over.
    Silence,
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { status, .. } => write!(f, "{status}"),
            Self::Silence => f.write_str("no answer"),
        }
    }
}

/// One request and its whole answer, with the seconds that it asks to wait. An answer that breaks
/// off is none.
async fn exchange(request: RequestBuilder) -> reqwest::Result<(Answer, Option<u64>)> {
    let answer = request.send().await?;
    let asked = retry_after(&answer);
    Ok((read(answer).await?, asked))
}

/// The seconds that `Retry-After` asks for; its form as a date is not one that the shop uses.
fn retry_after(answer: &Response) -> Option<u64> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

async fn read(answer: Response) -> reqwest::Result<Answer> {
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use axum::{Json, Router};

    use super::*;

    #[test]
    fn a_problem_is_told_in_words_with_its_fields() {
        let body = json!({
            "title": "the order cannot be placed",
            "code": "invalid_request",
            "errors": [{"field": "lines[0].quantity", "code": "x", "detail": "must be 1 to 1000"}]
        });
        let words = Answer { status: 422, body }.problem();
        assert_eq!(words, "the order cannot be placed\n  lines[0].quantity: must be 1 to 1000");
        assert_eq!(Answer { status: 500, body: json!({}) }.problem(), "status 500: {}");
    }

    #[test]
    fn an_order_is_settled_when_nobody_holds_the_baton() {
        let view = |status: &str| OrderView {
            status: status.into(),
            version: 1,
            reasons: Vec::new(),
            refusals: Vec::new(),
        };
        for status in ["confirmed", "rejected", "cancelled", "refunded", "refused"] {
            assert_eq!(view(status).outcome().map(Outcome::as_str), Some(status));
        }
        for status in ["requested", "validated", "paid", "payment_declined", "refund_due"] {
            assert_eq!(view(status).outcome(), None, "{status}");
        }
    }

    /// A server of orders that answers 503 twice, then 202, and remembers the keys.
    async fn busy_orders(keys: Arc<Mutex<Vec<String>>>) -> String {
        let place = move |headers: HeaderMap| async move {
            let mut keys = keys.lock().unwrap();
            keys.push(headers["idempotency-key"].to_str().unwrap().to_owned());
            let status =
                if keys.len() < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED };
            let id = Uuid::from_u128(7);
            (status, [("retry-after", "0")], Json(json!({ "order_id": id })))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = axum::serve(listener, Router::new().route("/orders", post(place)));
        tokio::spawn(server.into_future());
        url
    }

    #[tokio::test]
    async fn an_order_is_sent_again_under_its_key_until_it_is_accepted() {
        let keys = Arc::default();
        let url = busy_orders(Arc::clone(&keys)).await;
        let client = OrderClient::new(&url, &url).unwrap();
        let mut seen = Vec::new();
        let patience = Duration::from_secs(30);
        let body = order_body("ada", &[("TEA", 1)]);
        let answer = client.place("k", &body, patience, |why| seen.push(why)).await.unwrap();
        assert_eq!(answer.accepted().unwrap(), OrderId(Uuid::from_u128(7)));
        assert_eq!(seen, [NotNow::Busy { status: 503, retry_after_s: Some(0) }; 2]);
        assert_eq!(*keys.lock().unwrap(), ["k", "k", "k"]);
    }

    #[tokio::test]
    async fn a_customer_who_leaves_sends_a_refused_order_once() {
        let keys = Arc::default();
        let url = busy_orders(Arc::clone(&keys)).await;
        let client = OrderClient::new(&url, &url).unwrap().with_manners(Manners::Leaves);
        let body = order_body("ada", &[("TEA", 1)]);
        let answer = client.place("k", &body, Duration::from_secs(30), |_| {}).await.unwrap();
        assert_eq!((answer.status, keys.lock().unwrap().len()), (503, 1));
    }

    #[tokio::test]
    async fn whoever_gives_up_says_what_was_seen_last() {
        // No process listens on port 1 of this machine.
        let client = OrderClient::new("http://127.0.0.1:1", "http://x").unwrap();
        let body = order_body("ada", &[("TEA", 1)]);
        let error = client.place("k", &body, Duration::ZERO, |_| {}).await.unwrap_err();
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
    }
}
