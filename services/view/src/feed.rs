//! [`Feed`]: the transitions of all orders, for those who follow them live.
//!
//! One task reads each transition once from the timeline, whatever the number of followers, and
//! gives it to all of them. A follower that begins elsewhere, or was left behind, reads the
//! timeline itself until it has joined the others. So a follower needs no memory but its
//! [`Position`], and any instance can go on with it.

use crate::{
    domain::position::Position,
    views::{
        events::{self, EventView},
        is_missing,
    },
};
use contracts::OrderId;
use service_kit::{Backoff, Readiness, Shutdown, postgres::Database, waiters::Waiters};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

/// Transitions of one partition that are read at once.
const PORTION_MAX: u32 = 500;

/// The timeline is not read again before this: what comes at a high rate is read together.
const PAUSE: Duration = Duration::from_millis(50);

/// Portions that a follower may be behind the others before it reads by itself.
const PORTIONS_KEPT: usize = 16;

/// Where followers come from and what they hear. Clones share it.
#[derive(Debug, Clone)]
pub struct Feed {
    database: Database,
    changed: watch::Sender<()>,
    live: broadcast::Sender<Arc<Portion>>,
}

/// Transitions that came to be shown together.
#[derive(Debug)]
pub struct Portion {
    /// The position before them: a follower elsewhere has missed something.
    from: Position,
    /// In the order of their logs.
    transitions: Vec<Transition>,
}

/// A transition at its place in the log.
#[derive(Debug, Clone)]
struct Transition {
    partition: i32,
    offset: i64,
    told: Arc<Told>,
}

/// A transition, and its JSON once a follower wants it.
#[derive(Debug)]
struct Told {
    view: EventView,
    json: OnceLock<String>,
}

/// Who wants to hear of changes.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The requests that wait for an order.
    pub waiters: Waiters<OrderId, ()>,
    /// The followers of all orders.
    pub feed: Feed,
}

impl Changes {
    /// This order has changed.
    pub fn tell(&self, order_id: OrderId) {
        self.waiters.tell(order_id, &());
        self.feed.look();
    }

    /// Any order may have changed.
    pub fn tell_all(&self) {
        self.waiters.tell_all(&());
        self.feed.look();
    }
}

/// A transition, with the text that all followers get.
#[derive(Debug, Clone)]
pub struct Event {
    /// The follower's position when it has this.
    pub position: Position,
    told: Arc<Told>,
}

impl Event {
    /// The transition.
    pub fn view(&self) -> &EventView {
        &self.told.view
    }

    /// The same as JSON; it is made once for all followers.
    pub fn json(&self) -> &str {
        let write = || serde_json::to_string(&self.told.view);
        self.told.json.get_or_init(|| write().expect("texts and numbers are JSON"))
    }
}

/// One who follows all orders.
pub struct Follower {
    database: Database,
    live: broadcast::Receiver<Arc<Portion>>,
    position: Position,
    /// Whether it has seen all that the others have, and goes on with them.
    joined: bool,
}

impl Feed {
    /// No follower yet, of the timeline in `database`.
    pub fn new(database: Database) -> Self {
        let (changed, live) = (watch::Sender::new(()), broadcast::Sender::new(PORTIONS_KEPT));
        Self { database, changed, live }
    }

    /// A follower that has seen all events up to `position`.
    pub fn follow(&self, position: Position) -> Follower {
        let (database, live) = (self.database.clone(), self.live.subscribe());
        self.look();
        Follower { database, live, position, joined: false }
    }

    fn look(&self) {
        self.changed.send_replace(());
    }

    /// Give new transitions to the followers, until `shutdown`. `check` is down while the timeline
    /// cannot be read.
    ///
    /// # Errors
    /// None that waiting could cure: the timeline is read again.
    pub async fn run(self, check: Readiness, shutdown: Shutdown) -> anyhow::Result<()> {
        check.up();
        shutdown.run_until_cancelled(self.give(&check)).await;
        Ok(())
    }

    async fn give(&self, check: &Readiness) {
        let (mut changed, mut backoff, mut reached) =
            (self.changed.subscribe(), Backoff::default(), None);
        while changed.changed().await.is_ok() {
            if self.live.receiver_count() == 0 {
                // What could not be read for those who have left is no fault any more.
                check.up();
                reached = None;
                continue;
            }
            match self.portions(reached.take()).await {
                Ok(position) => {
                    reached = Some(position);
                    backoff.reset();
                    check.up();
                    tokio::time::sleep(PAUSE).await;
                }
                // Without that view there is nothing to tell; it may come back.
                Err(error) if error.downcast_ref().is_some_and(is_missing) => {
                    check.up();
                    tokio::time::sleep(backoff.next()).await;
                    self.look();
                }
                Err(error) => {
                    // The watch of the database reports its outages.
                    check.down(format!("cannot read the timeline: {error:#}"));
                    tokio::time::sleep(backoff.next()).await;
                    self.look();
                }
            }
        }
    }

    /// Give all that comes after `reached`; the position after it. At the beginning, followers
    /// hear where that is, and look for what they have missed.
    async fn portions(&self, reached: Option<Position>) -> anyhow::Result<Position> {
        let mut position = match reached {
            Some(reached) => reached,
            None => {
                let end = self.database.read(|| events::end(self.database.pool())).await?;
                self.send(Portion { from: end.clone(), transitions: Vec::new() });
                end
            }
        };
        loop {
            let transitions = read(&self.database, &position).await?;
            if transitions.is_empty() {
                return Ok(position);
            }
            let from = position.clone();
            for transition in &transitions {
                position.advance(transition.partition, transition.offset);
            }
            self.send(Portion { from, transitions });
        }
    }

    fn send(&self, portion: Portion) {
        // An error says that the last follower has gone.
        let _ = self.live.send(Arc::new(portion));
    }
}

impl Follower {
    /// What comes after all that it has seen; waits for it. Empty when the feed has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Event>> {
        loop {
            let news = match self.joined {
                true => match self.live.recv().await {
                    Ok(portion) if self.position.includes(&portion.from) => {
                        self.unseen(&portion.transitions)
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        self.joined = false;
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(Vec::new()),
                },
                // It listens already, so what comes from now on is in one of the two.
                false => {
                    let transitions = read(&self.database, &self.position).await?;
                    self.joined = transitions.is_empty();
                    self.unseen(&transitions)
                }
            };
            if !news.is_empty() {
                return Ok(news);
            }
        }
    }

    fn unseen(&mut self, transitions: &[Transition]) -> Vec<Event> {
        let mut unseen = Vec::new();
        for transition in transitions {
            if self.position.advance(transition.partition, transition.offset) {
                let told = Arc::clone(&transition.told);
                unseen.push(Event { position: self.position.clone(), told });
            }
        }
        unseen
    }
}

async fn read(database: &Database, position: &Position) -> anyhow::Result<Vec<Transition>> {
    let look = || events::after(database.pool(), position, PORTION_MAX);
    let transition = |view: EventView| {
        let (partition, offset) = (view.transition.partition, view.transition.offset);
        let told = Arc::new(Told { view, json: OnceLock::new() });
        Transition { partition, offset, told }
    };
    Ok(database.read(look).await?.into_iter().map(transition).collect())
}
