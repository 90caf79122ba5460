//! [`Journal`]: what became of every order of a run, and when.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use client::{NotNow, Outcome};
use contracts::OrderId;

use crate::mix::Kind;

/// How many of the things that should not be are kept in words; all are counted.
const TROUBLES_TOLD: usize = 10;
/// Ends that are remembered before their order is known here. A 202 is late by seconds at most,
/// while at most 256 customers wait for one; the others are strangers' orders, which never get
/// known. One that is forgotten is asked for later.
const EARLY_MAX: usize = 4_096;

/// What a client was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// 202: the command is safe.
    Accepted(OrderId),
    /// Another status, which is an answer.
    Refused(u16),
    /// It gave up.
    None,
}

impl Reply {
    /// Whether it was refused for now only, and the customer has left.
    #[must_use]
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Refused(429 | 503))
    }
}

/// One order of a run.
#[derive(Clone, Debug)]
pub struct Story {
    /// What is special about it.
    pub kind: Kind,
    /// When it was to be placed: latencies count from here, however late the client is (no
    /// coordinated omission).
    pub due: Instant,
    /// When it was answered, and how.
    pub reply: Option<(Instant, Reply)>,
    /// When it could be seen in the view that it has ended, and how.
    pub settled: Option<(Instant, Outcome)>,
    /// When it came by its other milestones.
    pub reached: Reached,
}

/// Where an order comes by on its way, besides its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Milestone {
    /// All checks have passed: its record on `orders` can be read.
    Validated,
    /// The view shows it.
    Visible,
    /// The mail server has its mail, and `emails` says so.
    Mailed,
}

impl Milestone {
    /// All of them, in the order in which an order comes by.
    pub const ALL: [Self; 3] = [Self::Visible, Self::Validated, Self::Mailed];
}

/// When an order came by each milestone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reached([Option<Instant>; Milestone::ALL.len()]);

impl Reached {
    /// When it came by `milestone`.
    #[must_use]
    pub fn at(&self, milestone: Milestone) -> Option<Instant> {
        self.0[milestone as usize]
    }

    fn set(&mut self, milestone: Milestone, at: Instant) {
        self.0[milestone as usize].get_or_insert(at);
    }
}

impl Story {
    /// When it was accepted, if it was.
    #[must_use]
    pub fn accepted(&self) -> Option<(Instant, OrderId)> {
        match self.reply {
            Some((at, Reply::Accepted(order))) => Some((at, order)),
            _ => None,
        }
    }

    /// Whether it is accepted and has not ended.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.accepted().is_some() && self.settled.is_none()
    }
}

/// All orders of a run, in the order in which they were due, and what else happened.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    /// The orders.
    pub orders: Vec<Story>,
    /// Requests that were refused for now or not answered, by cause: they are sent again, but for
    /// orders of customers who leave.
    pub retries: BTreeMap<String, u64>,
    /// How many of the refused were told to come again after so many seconds; none, if they were
    /// told nothing.
    pub advice: BTreeMap<Option<u64>, u64>,
    /// Cancellations that were accepted.
    pub cancellations: u64,
    /// Restocks that were accepted.
    pub restocks: u64,
    /// How much happened that should not have.
    pub troubles: u64,
    /// The first of that, in words.
    pub told: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    stories: Stories,
    places: HashMap<OrderId, usize>,
    /// What was seen of orders before their 202 was here, and of strangers, for [`EARLY_MAX`] of
    /// them.
    early: HashMap<OrderId, Seen>,
    /// The keys of `early`, the oldest first; those that were taken out may still be here.
    early_since: VecDeque<OrderId>,
}

/// What was seen of an order.
#[derive(Debug, Default)]
struct Seen {
    settled: Option<(Instant, Outcome)>,
    reached: Reached,
}

impl State {
    /// What is remembered of an order without a place; the oldest one makes room for a new one.
    fn remember(&mut self, order: OrderId) -> &mut Seen {
        if !self.early.contains_key(&order) {
            if self.early_since.len() == EARLY_MAX
                && let Some(oldest) = self.early_since.pop_front()
            {
                self.early.remove(&oldest);
            }
            self.early_since.push_back(order);
        }
        self.early.entry(order).or_default()
    }
}

/// The stories while they happen.
#[derive(Debug, Default)]
pub struct Journal(Mutex<State>);

impl Journal {
    /// An order is due; its place in the journal.
    pub fn due(&self, kind: Kind, due: Instant) -> usize {
        let orders = &mut self.state().stories.orders;
        orders.push(Story { kind, due, reply: None, settled: None, reached: Reached::default() });
        orders.len() - 1
    }

    /// The order at `place` was answered.
    pub fn replied(&self, place: usize, reply: Reply) {
        let mut state = self.state();
        state.stories.orders[place].reply = Some((Instant::now(), reply));
        if let Reply::Accepted(order) = reply {
            state.places.insert(order, place);
            if let Some(Seen { settled, reached }) = state.early.remove(&order) {
                let story = &mut state.stories.orders[place];
                (story.settled, story.reached) = (settled, reached);
            }
        }
    }

    /// It can be seen that an order has ended. Said again, it changes nothing.
    pub fn settled(&self, order: OrderId, outcome: Outcome) {
        let mut state = self.state();
        let settled = match state.places.get(&order).copied() {
            Some(place) => &mut state.stories.orders[place].settled,
            None => &mut state.remember(order).settled,
        };
        settled.get_or_insert((Instant::now(), outcome));
    }

    /// An order was seen to come by a milestone. Said again, it changes nothing.
    pub fn reached(&self, order: OrderId, milestone: Milestone) {
        let mut state = self.state();
        let reached = match state.places.get(&order).copied() {
            Some(place) => &mut state.stories.orders[place].reached,
            None => &mut state.remember(order).reached,
        };
        reached.set(milestone, Instant::now());
    }

    /// A request was refused for now, or not answered.
    pub fn retried(&self, why: NotNow) {
        let stories = &mut self.state().stories;
        *stories.retries.entry(why.to_string()).or_default() += 1;
        if let NotNow::Busy { retry_after_s, .. } = why {
            *stories.advice.entry(retry_after_s).or_default() += 1;
        }
    }

    /// A cancellation was accepted.
    pub fn cancelled(&self) {
        self.state().stories.cancellations += 1;
    }

    /// Goods were taken in.
    pub fn restocked(&self) {
        self.state().stories.restocks += 1;
    }

    /// Something happened that should not have.
    pub fn trouble(&self, what: String) {
        let stories = &mut self.state().stories;
        stories.troubles += 1;
        if stories.told.len() < TROUBLES_TOLD {
            stories.told.push(what);
        }
    }

    /// Looks at the stories so far.
    pub fn look<T>(&self, at: impl FnOnce(&Stories) -> T) -> T {
        at(&self.state().stories)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds the journal")
    }
}

#[cfg(test)]
mod tests {
    use contracts::Status;
    use uuid::Uuid;

    use super::*;

    const CONFIRMED: Outcome = Outcome::Settled(Status::Confirmed);

    #[test]
    fn an_end_that_is_seen_before_the_202_is_not_lost() {
        let (journal, order) = (Journal::default(), OrderId(Uuid::from_u128(1)));
        let place = journal.due(Kind::Plain, Instant::now());
        journal.settled(order, CONFIRMED);
        assert!(journal.look(|stories| stories.orders[place].settled.is_none()));
        journal.replied(place, Reply::Accepted(order));
        let settled = journal.look(|stories| stories.orders[place].settled);
        assert_eq!(settled.map(|(_, outcome)| outcome), Some(CONFIRMED));
    }

    #[test]
    fn strangers_are_forgotten_and_the_latest_of_them_are_remembered() {
        let journal = Journal::default();
        let order = |n: usize| OrderId(Uuid::from_u128(n as u128));
        (0..3 * EARLY_MAX).for_each(|n| journal.settled(order(n), CONFIRMED));
        assert_eq!(journal.state().early.len(), EARLY_MAX);
        assert_eq!(journal.state().early_since.len(), EARLY_MAX);
        let settled = |n| {
            let place = journal.due(Kind::Plain, Instant::now());
            journal.replied(place, Reply::Accepted(order(n)));
            journal.look(|stories| stories.orders[place].settled.is_some())
        };
        assert!(settled(3 * EARLY_MAX - 1) && !settled(0));
    }

    #[test]
    fn the_first_word_about_an_end_is_the_one_that_counts() {
        let (journal, order) = (Journal::default(), OrderId(Uuid::from_u128(1)));
        let place = journal.due(Kind::Plain, Instant::now());
        journal.replied(place, Reply::Accepted(order));
        assert!(journal.look(|stories| stories.orders[place].is_under_way()));
        journal.settled(order, CONFIRMED);
        let first = journal.look(|stories| stories.orders[place].settled);
        journal.settled(order, CONFIRMED);
        assert_eq!(journal.look(|stories| stories.orders[place].settled), first);
    }

    #[test]
    fn troubles_are_counted_and_some_are_told() {
        let journal = Journal::default();
        (0..100).for_each(|n| journal.trouble(n.to_string()));
        let (count, told) = journal.look(|stories| (stories.troubles, stories.told.len()));
        assert_eq!((count, told), (100, TROUBLES_TOLD));
    }
}
