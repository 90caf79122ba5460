//! What is known of an order's transitions, and what one more record about it means.

use contracts::{Order, Status, order::ImpossibleOrder};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next transition: show it.
    Next,
    /// It is shown already: after a crash, or because its writer wrote it twice.
    Repeated,
}

/// Why the record can never be shown.
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

/// What `arrival` means for an order with this `history`.
///
/// # Errors
/// [`Impossible`], the cause for a dead letter.
pub fn decide(history: &History, arrival: Arrival<'_>) -> Result<Verdict, Impossible> {
    let Arrival { order, fingerprint } = arrival;
    let last = history.steps.last_key_value();
    // `follows` asks the known order for nothing but these two.
    let known = last.map(|(version, known)| Order {
        version: *version,
        status: known.status,
        ..order.clone()
    });
    if order.follows(known.as_ref())? {
        return Ok(Verdict::Next);
    }
    match history.steps.get(&order.version) {
        Some(known) if known.fingerprint != fingerprint => {
            Err(Impossible::Contradiction { version: order.version, known: known.status })
        }
        Some(_) | None => Ok(Verdict::Repeated),
    }
}

impl History {
    /// The history of these transitions.
    pub fn of(steps: impl IntoIterator<Item = (i64, Known)>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// Evolve: `arrival` is shown.
    pub fn evolve(&mut self, arrival: Arrival<'_>) {
        let known = Known { status: arrival.order.status, fingerprint: arrival.fingerprint };
        self.steps.insert(arrival.order.version, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{
        Customer, Money, Timestamp, TransitionKind,
        transitions::{OrderRejected, OrderRequested, OrderValidated},
    };

    fn requested() -> Order {
        let opened = OrderRequested {
            order_id: "0192d3a0-7b1c-7e2a-9c3d-5f0a1b2c3d4e".parse().unwrap(),
            placed_by: "0192d3a0-7b1c-7e2a-9c3d-5f0a1b2c3d4f".parse().unwrap(),
            customer: Customer {
                customer_id: "ada".parse().unwrap(),
                name: "Ada".into(),
                email: "ada@example.org".into(),
            },
            lines: Vec::new(),
            total: Money::new(0, "EUR"),
            required_checks: Vec::new(),
            deadline: Timestamp(60_000),
        };
        opened.open(Timestamp(0)).into_order()
    }

    fn arrival(order: &Order) -> Arrival<'_> {
        let bytes = format!("{order:?}");
        Arrival { order, fingerprint: Uuid::new_v5(&order.order_id.0, bytes.as_bytes()) }
    }

    fn check(given: &[&Order], when: &Order, then: Result<Verdict, &str>) {
        let mut history = History::default();
        for order in given {
            history.evolve(arrival(order));
        }
        let verdict = decide(&history, arrival(when));
        assert_eq!(verdict.map_err(|cause| cause.to_string()), then.map_err(str::to_owned));
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

        check(&[], &one, Ok(Verdict::Next));
        check(&[&one], &two, Ok(Verdict::Next));
        check(&[&one], &one, Ok(Verdict::Repeated));
        check(&[&one, &two], &one, Ok(Verdict::Repeated));
        check(&[], &two, Err("version 2 cannot follow version 0"));
        check(&[&one], &leap, Err("version 3 cannot follow version 1"));
        check(&[&one, &two], &wrong, Err("OrderConfirmed is impossible from validated"));
        let contradicted = "version 2 is known as another transition to validated";
        check(&[&one, &two], &other_two, Err(contradicted));
        let contradicted = "version 1 is known as another transition to requested";
        check(&[&one, &two], &later_one, Err(contradicted));
    }
}
