//! [`Load`]: customers who order at a steady rate, whatever the shop does meanwhile.
//!
//! The loop is open: order n is due at its moment, whether or not the ones before were answered,
//! and latencies count from that moment. So an outage of the shop shows as long latencies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::{Answer, HEALTHY_WITHIN, Manners, OrderClient, Outcome, State, order_body};
use contracts::{
    OrderId, Status,
    topics::{EMAILS, ORDER_VIEWS, ORDERS},
};
use futures::StreamExt;
use serde_json::Value;
use streams::{Codec, Failure, Record};
use streams_kafka::{HttpRegistry, spawn_tail};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::journal::{Journal, Milestone, Reply, Stories, Story};
use crate::mix::{Intent, Kind, Line, Mix};

/// How long a customer tries before it gives up: longer than any server of the shop needs to come
/// back, and a service behind it.
const PATIENCE: Duration = HEALTHY_WITHIN.saturating_mul(2);

/// Customers that talk to the shop at a time. The others wait for their turn, and their clocks run.
const CONNECTIONS_MAX: usize = 256;

/// An order that was not announced for so long is asked for.
const ASK_AFTER: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(2);
const QUESTIONS_MAX: usize = 256;
const QUESTIONS_AT_A_TIME: usize = 8;

/// What load to put on a shop.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The same seed gives the same customers. Their orders get new ids in each run.
    pub seed: u64,
    /// What they are up to.
    pub mix: Mix,
    /// How many orders.
    pub orders: u64,
    /// Orders per second.
    pub rate: f64,
    /// What customers do whose order is refused for now.
    pub manners: Manners,
}

/// A load that is under way.
#[derive(Debug)]
pub struct Load {
    journal: Arc<Journal>,
    /// None when it is over.
    placing: Option<JoinHandle<()>>,
    /// Ends the placing of further orders.
    enough: CancellationToken,
    /// Ends the listening; dropped with the load.
    listening: CancellationToken,
}

impl Load {
    /// Begins to place orders in the shop that `state` describes.
    ///
    /// # Errors
    /// When the shop has no such parts, or Kafka does not answer within half a minute.
    pub async fn start(state: &State, settings: Settings) -> Result<Self> {
        let client = OrderClient::of(state)?;
        let journal = Arc::new(Journal::default());
        let listening = CancellationToken::new();
        watch(state, Arc::clone(&journal), listening.clone()).await?;
        tokio::spawn(ask(client.clone(), Arc::clone(&journal), listening.clone()));
        let enough = CancellationToken::new();
        let crowd = Arc::new(Crowd {
            client: client.with_manners(settings.manners).with_turns(CONNECTIONS_MAX),
            inventory: state.url("inventory")?.to_owned(),
            run: Uuid::new_v4(),
            journal: Arc::clone(&journal),
        });
        let placing = tokio::spawn(crowd.place_all(settings, enough.clone()));
        Ok(Self { journal, placing: Some(placing), enough, listening })
    }

    /// What happened so far.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// No further orders.
    pub fn stop_placing(&self) {
        self.enough.cancel();
    }

    /// Waits until every order is answered or given up.
    ///
    /// # Errors
    /// When placing them has died.
    pub async fn placed(&mut self) -> Result<()> {
        if let Some(placing) = &mut self.placing {
            placing.await.context("placing orders has died")?;
            self.placing = None;
        }
        Ok(())
    }

    /// Waits until every accepted order has ended, for `patience` at most; whether all have.
    pub async fn all_settled(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let some_under_way = |stories: &Stories| stories.orders.iter().any(Story::is_under_way);
        while self.journal.look(some_under_way) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.enough.cancel();
        self.listening.cancel();
    }
}

/// The customers of one run.
struct Crowd {
    client: OrderClient,
    inventory: String,
    /// Makes the keys of this run its own.
    run: Uuid,
    journal: Arc<Journal>,
}

impl Crowd {
    async fn place_all(self: Arc<Self>, settings: Settings, enough: CancellationToken) {
        let customers = TaskTracker::new();
        let begin = Instant::now();
        for n in 0..settings.orders {
            // Counted from the beginning, so that no error adds up.
            #[expect(clippy::cast_precision_loss, reason = "a run has far fewer orders than 2^52")]
            let due = begin + Duration::from_secs_f64(n as f64 / settings.rate);
            let wait = tokio::time::sleep_until(due.into());
            if enough.run_until_cancelled(wait).await.is_none() {
                break;
            }
            let intent = Intent::draw(&settings.mix, settings.seed, n);
            let place = self.journal.due(intent.kind, due);
            let crowd = Arc::clone(&self);
            customers.spawn(async move { crowd.customer(n, place, intent).await });
        }
        customers.close();
        customers.wait().await;
    }

    async fn customer(&self, n: u64, place: usize, intent: Intent) {
        let key = format!("{}-{n}", self.run);
        let order = async {
            let reply = self.order(&key, &intent).await;
            self.journal.replied(place, reply);
            reply
        };
        let (reply, ()) = tokio::join!(order, self.restock(intent.restock, &key));
        if let (Reply::Accepted(order), Some(after)) = (reply, intent.cancel_after) {
            tokio::time::sleep(after).await;
            self.cancel(order, &key).await;
        }
    }

    async fn order(&self, key: &str, intent: &Intent) -> Reply {
        let body = order_body(intent.customer, &intent.lines);
        if intent.kind != Kind::Twice {
            return self.place(key, &body, intent.kind).await;
        }
        let (first, second) =
            tokio::join!(self.place(key, &body, intent.kind), self.place(key, &body, intent.kind));
        // One of them may have been refused for now, and left.
        if Reply::is_busy(first) {
            return second;
        }
        if first != second && !Reply::is_busy(second) {
            self.journal.trouble(format!("one key, two answers: {first:?} and {second:?}"));
        }
        first
    }

    async fn place(&self, key: &str, body: &Value, kind: Kind) -> Reply {
        let answer = self.client.place(key, body, PATIENCE, |why| self.journal.retried(why)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.journal.trouble(format!("an order was given up: {error:#}"));
                return Reply::None;
            }
        };
        let expected = if kind == Kind::Wrong { 422 } else { 202 };
        if answer.status != expected && !Reply::Refused(answer.status).is_busy() {
            let problem = answer.problem();
            self.journal
                .trouble(format!("{expected} was expected, not {}: {problem}", answer.status));
        }
        match answer.accepted() {
            Ok(order) => Reply::Accepted(order),
            Err(_) => Reply::Refused(answer.status),
        }
    }

    async fn cancel(&self, order: OrderId, key: &str) {
        let retried = |why| self.journal.retried(why);
        let answer = self.client.cancel(order, key, PATIENCE, retried).await;
        if self.is_accepted(&format!("the cancellation of {order}"), answer) {
            self.journal.cancelled();
        }
    }

    async fn restock(&self, line: Option<Line>, key: &str) {
        let Some(line) = line else { return };
        let command = Uuid::new_v5(&self.run, key.as_bytes());
        let retried = |why| self.journal.retried(why);
        let answer = self.client.restock(&self.inventory, line, command, PATIENCE, retried).await;
        if self.is_accepted(&format!("the restock of {}", line.0), answer) {
            self.journal.restocked();
        }
    }

    fn is_accepted(&self, what: &str, answer: Result<Answer>) -> bool {
        match answer {
            Ok(answer) if answer.status == 202 => return true,
            Ok(answer) => self.journal.trouble(format!("{what} was refused: {}", answer.problem())),
            Err(error) => self.journal.trouble(format!("{what} was given up: {error:#}")),
        }
        false
    }
}

/// Writes down in `journal` where every order comes by, as its records can be read, until `stop` is
/// cancelled.
///
/// # Errors
/// When Kafka does not answer within [`HEALTHY_WITHIN`].
pub async fn watch(state: &State, journal: Arc<Journal>, stop: CancellationToken) -> Result<()> {
    let registry = HttpRegistry::new(state.url("registry")?, tokio::runtime::Handle::current())?;
    let codec = Codec::new(Arc::new(registry));
    let kafka = state.url("kafka")?;
    let topics = vec![&ORDERS.spec, &ORDER_VIEWS.spec, &EMAILS.spec];
    let tail =
        spawn_tail(kafka, "load", topics, stop, move |record| note(record, &codec, &journal));
    let at_work = tokio::time::timeout(HEALTHY_WITHIN, tail.at_work()).await;
    let at_work = at_work.with_context(|| format!("Kafka does not answer at {kafka}"))?;
    anyhow::ensure!(at_work, "listening has died");
    Ok(())
}

fn note(record: &Record, codec: &Codec, journal: &Journal) -> Result<(), Failure> {
    let Some(value) = record.value.as_deref() else { return Ok(()) };
    if &*record.topic == ORDERS.spec.name {
        let order = codec.decode(&ORDERS, value)?;
        if order.status == Status::Validated {
            journal.reached(order.order_id, Milestone::Validated);
        }
    } else if &*record.topic == EMAILS.spec.name {
        journal.reached(codec.decode(&EMAILS, value)?.order_id, Milestone::Mailed);
    } else {
        let seen = codec.decode(&ORDER_VIEWS, value)?;
        journal.reached(seen.order_id, Milestone::Visible);
        if seen.order.status.is_terminal() {
            journal.settled(seen.order_id, Outcome::Settled(seen.order.status));
        }
    }
    Ok(())
}

/// Asks the view for orders whose end was not announced: an order that was refused never is.
async fn ask(client: OrderClient, journal: Arc<Journal>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        let orders = journal.look(long_under_way);
        let asked =
            futures::stream::iter(orders).for_each_concurrent(QUESTIONS_AT_A_TIME, |order| {
                let (client, journal) = (client.clone(), Arc::clone(&journal));
                async move {
                    // The view may be away; there is a next time.
                    if let Ok(Some(view)) = client.order(order).await
                        && let Some(outcome) = view.outcome()
                    {
                        journal.settled(order, outcome);
                    }
                }
            });
        if stop.run_until_cancelled(asked).await.is_none() {
            return;
        }
    }
}

fn long_under_way(stories: &Stories) -> Vec<OrderId> {
    let long = stories.orders.iter().filter(|story| story.settled.is_none()).filter_map(|story| {
        let (at, order) = story.accepted()?;
        (at.elapsed() > ASK_AFTER).then_some(order)
    });
    long.take(QUESTIONS_MAX).collect()
}
