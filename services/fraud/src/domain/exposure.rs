//! The open value of a customer, and whether one more order is too much.
//!
//! An order counts from its acceptance, for the length of the window, unless it is rejected or
//! cancelled. A confirmed order counts too, because the customer can charge it back. The state is
//! the fold of the orders and nothing else: another limit or window changes only new decisions.

use contracts::{
    Money, OrderId, Timestamp,
    fraud::{CHECK, Change, Exposure},
    orders::{OrderValidation, Outcome},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long an order is remembered, and so the longest window.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Most orders that are remembered of a customer; another one is declined.
pub const ORDERS_MAX: usize = 1000;

/// What customers are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Most open value, in minor units of one currency.
    pub limit_minor: i64,
    /// How long an order counts, [`REMEMBERED`] at most.
    pub window: Duration,
}

/// What is known of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Each order once, in the order in which they came.
    orders: Vec<Open>,
}

/// An order of the last day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    order_id: OrderId,
    value: Money,
    requested_at: Timestamp,
    fell_through: bool,
}

/// What there is to decide on.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// What an order changes.
    pub exposure: Exposure,
    /// What the customer is judged by.
    pub terms: &'a Terms,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The order was judged, and counts from now on.
    Judged(Open, OrderValidation),
    /// The customer has more orders than are remembered: this one is declined and does not count.
    TooMany(OrderValidation),
    /// The order counts no longer, or never will if it is still to come.
    FellThrough(Open),
    /// It changes nothing, and why.
    Ignored(OrderId, Ignored),
}

/// Why an exposure changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is known.
    Repeated,
    /// The order fell through before it was judged: no outcome is waited for.
    Over,
    /// It is not counted, and there are too many to remember that.
    NotCounted,
}

impl Decision {
    /// The outcome for orders.
    pub fn outcome(&self) -> Option<&OrderValidation> {
        match self {
            Decision::Judged(_, outcome) | Decision::TooMany(outcome) => Some(outcome),
            Decision::FellThrough(_) | Decision::Ignored(..) => None,
        }
    }
}

/// Decide on `input` at `now`.
pub fn decide(state: &State, input: Input<'_>, now: Timestamp) -> Decision {
    let Input { exposure, terms } = input;
    let order_id = exposure.order_id;
    let known = state.orders.iter().find(|open| open.order_id == order_id);
    let is_full = state.remembered(exposure.requested_at).count() >= ORDERS_MAX;
    match (exposure.change, known) {
        (Change::Opened, Some(open)) if open.fell_through => {
            Decision::Ignored(order_id, Ignored::Over)
        }
        (Change::Opened, Some(_)) => Decision::Ignored(order_id, Ignored::Repeated),
        (Change::FellThrough, Some(open)) if open.fell_through => {
            Decision::Ignored(order_id, Ignored::Repeated)
        }
        (Change::FellThrough, None) if is_full => Decision::Ignored(order_id, Ignored::NotCounted),
        (Change::FellThrough, _) => Decision::FellThrough(Open::new(exposure, true)),
        (Change::Opened, None) if is_full => {
            let detail = format!("the customer has {ORDERS_MAX} orders within a day");
            Decision::TooMany(failed(order_id, "too_many_orders", detail, now))
        }
        (Change::Opened, None) => {
            let outcome = judge(state, &exposure, terms, now);
            Decision::Judged(Open::new(exposure, false), outcome)
        }
    }
}

/// What is known after `decision`.
pub fn evolve(mut state: State, decision: &Decision) -> State {
    match decision {
        Decision::Judged(open, _) | Decision::FellThrough(open) => {
            state.orders = state.remembered(open.requested_at).cloned().collect();
            state.orders.retain(|known| known.order_id != open.order_id);
            state.orders.push(open.clone());
        }
        Decision::TooMany(_) | Decision::Ignored(..) => {}
    }
    state
}

fn judge(state: &State, new: &Exposure, terms: &Terms, now: Timestamp) -> OrderValidation {
    let counts = |open: &&Open| {
        !open.fell_through
            && open.requested_at + terms.window > new.requested_at
            && open.value.currency == new.value.currency
    };
    let amounts = state.orders.iter().filter(counts).map(|open| open.value.amount_minor);
    let open = amounts.fold(new.value.amount_minor, i64::saturating_add);
    if open <= terms.limit_minor {
        let (check, code) = (CHECK.to_owned(), "ok".to_owned());
        let (order_id, detail, decided_at) = (new.order_id, String::new(), now);
        return OrderValidation {
            order_id,
            check,
            outcome: Outcome::Passed,
            code,
            detail,
            decided_at,
        };
    }
    let money = |amount| Money::new(amount, new.value.currency);
    let detail = format!(
        "with this order the customer has {} open within {} s, and {} is the limit",
        money(open),
        terms.window.as_secs(),
        money(terms.limit_minor),
    );
    failed(new.order_id, "too_much_open_value", detail, now)
}

fn failed(order_id: OrderId, code: &str, detail: String, now: Timestamp) -> OrderValidation {
    let (check, code) = (CHECK.to_owned(), code.to_owned());
    OrderValidation { order_id, check, outcome: Outcome::Failed, code, detail, decided_at: now }
}

impl State {
    /// The orders that are not forgotten when another one of `at` comes.
    fn remembered(&self, at: Timestamp) -> impl Iterator<Item = &Open> {
        self.orders.iter().filter(move |open| open.requested_at + REMEMBERED > at)
    }
}

impl Open {
    fn new(exposure: Exposure, fell_through: bool) -> Self {
        let Exposure { order_id, value, requested_at, .. } = exposure;
        Self { order_id, value, requested_at, fell_through }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Currency;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Timestamp = Timestamp(1_700_000_000_000);

    struct Story {
        state: State,
        terms: Terms,
    }

    impl Story {
        fn new() -> Self {
            Self { state: State::default(), terms: Terms { limit_minor: 1000, window: HOUR } }
        }

        fn tell(&mut self, id: u8, change: Change, minor: i64, at: Timestamp) -> Decision {
            self.tell_in(id, change, Money::new(minor, Currency::EUR), at)
        }

        fn tell_in(&mut self, id: u8, change: Change, value: Money, at: Timestamp) -> Decision {
            let text = format!("00000000-0000-0000-0000-0000000000{id:02x}");
            let exposure = Exposure {
                customer_id: "ada".parse().unwrap(),
                order_id: text.parse().unwrap(),
                change,
                value,
                requested_at: at,
            };
            let decision = decide(&self.state, Input { exposure, terms: &self.terms }, at);
            self.state = evolve(std::mem::take(&mut self.state), &decision);
            decision
        }

        fn passes(&mut self, id: u8, minor: i64, at: Timestamp) -> bool {
            let decision = self.tell(id, Change::Opened, minor, at);
            decision.outcome().expect("an outcome").outcome == Outcome::Passed
        }
    }

    #[test]
    fn the_limit_is_the_sum_within_the_window() {
        let mut story = Story::new();
        assert!(story.passes(1, 600, START));
        assert!(story.passes(2, 400, START), "up to the limit");
        assert!(!story.passes(3, 1, START), "and not beyond");
        assert!(!story.passes(4, 1, START + (HOUR - Duration::from_millis(1))));
        assert!(story.passes(5, 998, START + HOUR), "one alone of the first hour counts still");
    }

    #[test]
    fn an_order_that_falls_through_counts_no_longer() {
        let mut story = Story::new();
        assert!(!story.passes(1, 5000, START));
        assert!(!story.passes(2, 10, START), "until it has fallen through");
        story.tell(1, Change::FellThrough, 5000, START);
        story.tell(2, Change::FellThrough, 10, START);
        assert!(story.passes(3, 1000, START));
    }

    #[test]
    fn what_comes_again_or_late_changes_nothing() {
        let mut story = Story::new();
        story.tell(1, Change::FellThrough, 900, START);
        let known = story.state.clone();
        let again = |story: &mut Story, change| story.tell(1, change, 900, START);
        assert!(matches!(again(&mut story, Change::Opened), Decision::Ignored(_, Ignored::Over)));
        let repeated = again(&mut story, Change::FellThrough);
        assert!(matches!(repeated, Decision::Ignored(_, Ignored::Repeated)));
        assert_eq!(story.state, known);
        assert!(story.passes(2, 900, START));
        let repeated = story.tell(2, Change::Opened, 900, START);
        assert!(matches!(repeated, Decision::Ignored(_, Ignored::Repeated)));
    }

    #[test]
    fn currencies_are_not_added_up() {
        let mut story = Story::new();
        assert!(story.passes(1, 1000, START));
        let other =
            story.tell_in(2, Change::Opened, Money::new(1000, "CHF".parse().unwrap()), START);
        assert_eq!(other.outcome().unwrap().outcome, Outcome::Passed);
    }

    #[test]
    fn a_customer_with_more_orders_than_are_remembered_is_declined() {
        let mut story = Story::new();
        let open = |number: usize| Open {
            order_id: OrderId(story_id(number)),
            value: Money::new(0, Currency::EUR),
            requested_at: START,
            fell_through: false,
        };
        story.state.orders = (0..ORDERS_MAX).map(open).collect();
        let decision = story.tell(1, Change::Opened, 1, START);
        assert!(matches!(&decision, Decision::TooMany(told) if told.code == "too_many_orders"));
        assert_eq!(story.state.orders.len(), ORDERS_MAX);
        assert!(story.passes(2, 1, START + REMEMBERED), "a day later they are forgotten");
        assert_eq!(story.state.orders.len(), 1);
    }

    fn story_id(number: usize) -> uuid::Uuid {
        uuid::Uuid::from_u128(1000 + number as u128)
    }
}
