//! The history of an order: the fold of its records on `orders`, by a table of our own.
//!
//! # What a forged record means
//!
//! Kafka keeps `orders` for ever, so a forged record stays there. It is harmless if every reader
//! refuses it; the proof is a dead letter of every service that reads `orders`. Such a record is
//! neither part of the history nor a violation; its dead letters are, until an operator settles
//! them.
//!
//! A record that only some readers refused has split the shop: it is a violation, and no part of
//! the history. One that no reader refused is a violation. Where it can, the auditor follows it, as
//! all readers did: so it judges later records by themselves.

use crate::{
    dead_letters::{DeadLetters, readers},
    evidence::Logged,
    law::Law,
};
use contracts::{
    Order, ServiceName, Status, Timestamp, TransitionKind, partition::partition_for,
    topics::PARTITIONS,
};
use std::{collections::BTreeSet, sync::Arc};

/// Status, transition, next status, and its only writer: the baton table, stated a second time.
const TABLE: [(Option<Status>, TransitionKind, Status, &str); 10] = {
    use Status as S;
    use TransitionKind as T;
    [
        (None, T::OrderRequested, S::Requested, "orders"),
        (Some(S::Requested), T::OrderValidated, S::Validated, "orders"),
        (Some(S::Requested), T::OrderRejected, S::Rejected, "orders"),
        (Some(S::Requested), T::OrderCancelled, S::Cancelled, "orders"),
        (Some(S::Validated), T::PaymentReceived, S::Paid, "payments"),
        (Some(S::Validated), T::PaymentDeclined, S::PaymentDeclined, "payments"),
        (Some(S::Paid), T::OrderConfirmed, S::Confirmed, "orders"),
        (Some(S::Paid), T::OrderCancelled, S::RefundDue, "orders"),
        (Some(S::PaymentDeclined), T::OrderCancelled, S::Cancelled, "orders"),
        (Some(S::RefundDue), T::PaymentRefunded, S::Refunded, "payments"),
    ]
};

/// Whether no service holds the baton at `status`.
pub(crate) fn is_terminal(status: Status) -> bool {
    TABLE.iter().all(|(from, ..)| *from != Some(status))
}

/// A transition that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) record: &'a Logged<Arc<Order>>,
    pub(crate) order: &'a Order,
}

/// A record that is no next transition.
#[derive(Debug)]
pub(crate) struct Outcast<'a> {
    pub(crate) record: &'a Logged<Arc<Order>>,
    /// The law that it breaks, if not every reader has refused it.
    pub(crate) law: Law,
    pub(crate) why: String,
    /// The readers that should have refused it and did not.
    pub(crate) taken_by: Vec<ServiceName>,
}

/// What happened to one order.
#[derive(Debug, Default)]
pub(crate) struct History<'a> {
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) outcasts: Vec<Outcast<'a>>,
    /// Records that say again what is known.
    pub(crate) repeated: usize,
}

impl<'a> History<'a> {
    /// The history of `key` from its `records`, in the order of the log.
    pub(crate) fn fold(
        key: &str,
        records: &[&'a Logged<Arc<Order>>],
        dead_letters: &DeadLetters<'_>,
        at_rest: impl Fn(Timestamp) -> bool,
    ) -> Self {
        let mut history = Self::default();
        for record in records {
            let Some(order) = record.read() else { continue };
            let step = Step { record, order };
            let Err((law, why)) = history.judge(key, step) else { continue };
            let refused_by = dead_letters.of(&record.address("orders"));
            let readers = readers("orders");
            let taken_by: Vec<_> =
                readers.iter().copied().filter(|one| !refused_by.contains(one)).collect();
            let nobody_refused = taken_by.len() == readers.len() && at_rest(record.timestamp);
            if nobody_refused && law != Law::Terminal && order.version > history.version() {
                history.steps.push(step);
            }
            history.outcasts.push(Outcast { record, law, why, taken_by });
        }
        history
    }

    /// Take the next step, or say why it is none.
    fn judge(&mut self, key: &str, step: Step<'a>) -> Result<(), (Law, String)> {
        let Step { record, order } = step;
        let home = partition_for(key.as_bytes(), PARTITIONS);
        if order.order_id.to_string() != key || record.partition != home {
            return Err((Law::Poison, format!("it is of {} under the key {key}", order.order_id)));
        }
        let (known, status) = (self.version(), self.last().map(|last| last.order.status));
        if order.version <= known {
            return match self.at(order.version) {
                Some(same) if same.order == order => {
                    self.repeated += 1;
                    Ok(())
                }
                _ => Err((Law::Versions, format!("another version {} is known", order.version))),
            };
        }
        if status.is_some_and(is_terminal) {
            let why = format!("{} follows a terminal status", order.transition);
            return Err((Law::Terminal, why));
        }
        if order.version != known + 1 {
            return Err((Law::Versions, format!("version {} follows {known}", order.version)));
        }
        let row = TABLE
            .iter()
            .find(|row| (row.0, row.1, row.2) == (status, order.transition, order.status));
        match row {
            Some((.., owner)) if record.writer.as_deref() == Some(owner) => {
                self.steps.push(step);
                Ok(())
            }
            Some((.., owner)) => {
                let writer = record.writer.as_deref().unwrap_or("nobody");
                Err((Law::Baton, format!("{} is {owner}'s, {writer} wrote it", order.transition)))
            }
            None => {
                let from = status.map_or("nothing", Status::as_str);
                let (transition, to) = (order.transition, order.status);
                Err((Law::Baton, format!("no {transition} leads from {from} to {to}")))
            }
        }
    }

    /// The last transition.
    pub(crate) fn last(&self) -> Option<Step<'a>> {
        self.steps.last().copied()
    }

    /// The last version, 0 if there is none.
    pub(crate) fn version(&self) -> i64 {
        self.last().map_or(0, |last| last.order.version)
    }

    /// The transition of this version.
    pub(crate) fn at(&self, version: i64) -> Option<Step<'a>> {
        self.steps.iter().find(|step| step.order.version == version).copied()
    }

    /// The first transition after this version: from then on, a table that shows `version` is
    /// behind.
    pub(crate) fn after(&self, version: i64) -> Option<Step<'a>> {
        self.steps.iter().find(|step| step.order.version > version).copied()
    }

    /// The transition of this kind.
    pub(crate) fn find(&self, transition: TransitionKind) -> Option<Step<'a>> {
        self.steps.iter().find(|step| step.order.transition == transition).copied()
    }

    /// The last transition, if it has ended the order.
    pub(crate) fn end(&self) -> Option<Step<'a>> {
        self.last().filter(|last| is_terminal(last.order.status))
    }
}

/// Names with commas.
pub(crate) fn names(services: &[ServiceName]) -> String {
    let names: BTreeSet<_> = services.iter().map(|service| service.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
