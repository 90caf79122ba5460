//! The known transitions of an order, and the meaning of one more record about it.

use contracts::{Order, Status, Timestamp, order::ImpossibleOrder};
use std::collections::BTreeMap;
use uuid::Uuid;

/// State: the transitions of one order that are shown, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    steps: BTreeMap<i64, Known>,
}

/// A transition that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Where it led.
    pub status: Status,
    /// Tells its bytes from any others.
    pub fingerprint: Uuid,
}

/// Input: a record about the order, which is sound by itself.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The order in it.
    pub order: &'a Order,
    /// Tells its bytes from any others.
    pub fingerprint: Uuid,
}

/// Decision: what the record means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is the next transition: show it.
    Show {
        /// Its version.
        version: i64,
        /// What will be known of it.
        step: Known,
    },
    /// It is shown already: after a crash, or because its writer wrote it twice.
    Repeated,
    /// It can never be shown: the cause for a dead letter.
    Impossible(Impossible),
}

/// Why a record can never be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The baton table does not lead there from what is known.
    #[error(transparent)]
    Order(#[from] ImpossibleOrder),
    /// Another record has said something else about this version.
    #[error("version {version} is known as another transition to {known}")]
    Contradiction {
        /// The version of both.
        version: i64,
        /// Where the known one led.
        known: Status,
    },
}

impl History {
    /// The history of these transitions.
    pub fn of(steps: impl IntoIterator<Item = (i64, Known)>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }
}

/// What `arrival` means for an order with this `history`. Time changes nothing in that.
pub fn decide(history: &History, arrival: Arrival<'_>, _now: Timestamp) -> Decision {
    let Arrival { order, fingerprint } = arrival;
    let last = history.steps.last_key_value();
    // `follows` asks the known order for nothing but these two.
    let known = last.map(|(version, known)| Order {
        version: *version,
        status: known.status,
        ..order.clone()
    });
    let version = order.version;
    match (order.follows(known.as_ref()), history.steps.get(&version)) {
        (Err(cause), _) => Decision::Impossible(cause.into()),
        (Ok(true), _) => {
            Decision::Show { version, step: Known { status: order.status, fingerprint } }
        }
        (Ok(false), Some(known)) if known.fingerprint != fingerprint => {
            Decision::Impossible(Impossible::Contradiction { version, known: known.status })
        }
        (Ok(false), _) => Decision::Repeated,
    }
}

/// What is known after `decision`.
pub fn evolve(mut history: History, decision: &Decision) -> History {
    match decision {
        Decision::Show { version, step } => {
            history.steps.insert(*version, *step);
        }
        Decision::Repeated | Decision::Impossible(_) => {}
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        TransitionKind,
        transitions::{OrderRejected, OrderValidated},
    };

    fn requested() -> Order {
        testkit::orders::order(1, &[("TEA", "Tea", 1, 890)], Timestamp(0))
    }

    fn arrival(order: &Order) -> Arrival<'_> {
        let bytes = format!("{order:?}");
        Arrival { order, fingerprint: Uuid::new_v5(&order.order_id.0, bytes.as_bytes()) }
    }

    /// `Ok(true)`: it is shown next; `Ok(false)`: it is a repetition.
    fn check(given: &[&Order], when: &Order, then: Result<bool, &str>) {
        let mut history = History::default();
        for order in given {
            let decision = decide(&history, arrival(order), Timestamp(0));
            history = evolve(history, &decision);
        }
        let means = match decide(&history, arrival(when), Timestamp(0)) {
            Decision::Show { version, step } => {
                assert_eq!((version, step.status), (when.version, when.status));
                Ok(true)
            }
            Decision::Repeated => Ok(false),
            Decision::Impossible(cause) => Err(cause.to_string()),
        };
        assert_eq!(means, then.map_err(str::to_owned));
    }

    #[test]
    fn a_record_is_next_repeated_or_impossible() {
        let one = requested();
        let two = one.next(OrderValidated, Timestamp(5)).unwrap().into_order();
        let other_two =
            one.next(OrderRejected { reasons: Vec::new() }, Timestamp(5)).unwrap().into_order();
        let later_one = Order { occurred_at: Timestamp(1), ..one.clone() };
        let leap = Order { version: 3, ..two.clone() };
        let wrong = Order { version: 3, transition: TransitionKind::OrderConfirmed, ..two.clone() };

        check(&[], &one, Ok(true));
        check(&[&one], &two, Ok(true));
        check(&[&one], &one, Ok(false));
        check(&[&one, &two], &one, Ok(false));
        check(&[], &two, Err("version 2 cannot follow version 0"));
        check(&[&one], &leap, Err("version 3 cannot follow version 1"));
        check(&[&one, &two], &wrong, Err("OrderConfirmed is impossible from validated"));
        let contradicted = "version 2 is known as another transition to validated";
        check(&[&one, &two], &other_two, Err(contradicted));
        let contradicted = "version 1 is known as another transition to requested";
        check(&[&one, &two], &later_one, Err(contradicted));
    }
}
