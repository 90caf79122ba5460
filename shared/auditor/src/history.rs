//! The history of an order: the fold of its records on `orders`, by a table of our own.
//!
//! # What a record means that was put aside
//!
//! Kafka keeps `orders` for ever, so a forged record stays there. It is harmless if every reader
//! that would act upon it refuses it; the proof is a dead letter of each. Whatever it says, such a
//! record is neither part of the history nor a violation; its dead letters are, until an operator
//! settles them.
//!
//! A record that is no next transition, and that only some readers refused, has split the shop: it
//! is a violation, and no part of the history. One that no reader refused is a violation. Where it
//! can, the auditor follows it, as all readers did: so it judges later records by themselves.
//!
//! # What was deleted
//!
//! Where the beginning of the log is gone, the history of an order begins with the first record
//! that is left. Where dead letters are gone, what the readers made of a record is unknown.

use crate::{dead_letters::Refusals, evidence::Logged, law::Law};
use contracts::{
    Order, ServiceName, Status, Timestamp, TransitionKind,
    partition::{self, partition_for},
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

impl Step<'_> {
    /// Whether the other one says something else about the same version.
    fn is_rival_of(&self, other: Step<'_>) -> bool {
        self.order.version == other.order.version && self.order != other.order
    }
}

/// A record that is no next transition.
#[derive(Debug)]
pub(crate) struct Outcast<'a> {
    pub(crate) record: &'a Logged<Arc<Order>>,
    /// The law that it breaks, unless every reader that would act upon it has refused it.
    pub(crate) law: Law,
    pub(crate) why: String,
    /// What the readers made of it.
    pub(crate) refusals: Refusals,
}

/// What happened to one order.
#[derive(Debug, Default)]
pub(crate) struct History<'a> {
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) outcasts: Vec<Outcast<'a>>,
    /// Records that say again what is known.
    pub(crate) repeated: Vec<Step<'a>>,
    /// The beginning of the log is gone, and with it earlier steps than these.
    pub(crate) is_cut: bool,
}

impl<'a> History<'a> {
    /// The history of `key` from its `records`, in the order of the log, which has all records of
    /// the order or not.
    pub(crate) fn fold(
        key: &str,
        records: &[&'a Logged<Arc<Order>>],
        is_whole: bool,
        refusals: impl Fn(&Logged<Arc<Order>>) -> Refusals,
        at_rest: impl Fn(Timestamp) -> bool,
    ) -> Self {
        let first = records.iter().find_map(|record| record.read());
        let is_cut = !is_whole && first.is_some_and(|order| order.version > 1);
        let mut history = Self { is_cut, ..Self::default() };
        // Of the last step: whether its readers may have refused it.
        let mut is_unsure = false;
        for record in records {
            let Some(order) = record.read() else { continue };
            let step = Step { record, order };
            let mut refusals = refusals(record);
            let unknown = refusals.by.is_empty() && !refusals.unknown.is_empty();
            let refused = refusals.is_refused();
            let rival = history.last().filter(|last| is_unsure && last.is_rival_of(step));
            if let Some(rival) = rival.filter(|_| !refused) {
                // One of the two was refused, and the dead letters that say which are gone.
                history.steps.pop();
                let (law, why) = (Law::Versions, "another one took its place".to_owned());
                let refusals = Refusals::default();
                history.outcasts.push(Outcast { record: rival.record, law, why, refusals });
            }
            let judged = match refused {
                true => Err((Law::Understood, "all readers refused it".to_owned())),
                false => history.judge(key, step),
            };
            let Err((law, why)) = judged else {
                is_unsure = unknown;
                continue;
            };
            // For orders it is behind what it knows.
            if order.version <= history.version() {
                refusals.taken_by.retain(|reader| *reader != ServiceName::Orders);
            }
            let untouched = refusals.by.is_empty() && refusals.unknown.is_empty();
            let is_followed = untouched && at_rest(record.timestamp);
            if is_followed && law != Law::Terminal && order.version > history.version() {
                history.steps.push(step);
            }
            history.outcasts.push(Outcast { record, law, why, refusals });
        }
        history
    }

    /// The order has come to `version`. If the log is cut and does not have that, all steps are
    /// gone, and what is there is a dead letter that was replayed later.
    pub(crate) fn know_of(&mut self, version: i64) {
        if self.is_cut && self.version() < version {
            self.steps.clear();
        }
    }

    /// Take the next step, or say why it is none.
    fn judge(&mut self, key: &str, step: Step<'a>) -> Result<(), (Law, String)> {
        let Step { record, order } = step;
        let home = partition_for(key.as_bytes(), partition::count());
        if order.order_id.to_string() != key || record.partition != home {
            return Err((Law::Poison, format!("it is of {} under the key {key}", order.order_id)));
        }
        let (known, status) = (self.version(), self.last().map(|last| last.order.status));
        if order.version <= known {
            return match self.at(order.version) {
                Some(same) if same.order == order => {
                    self.repeated.push(step);
                    Ok(())
                }
                // What it repeats is gone.
                None if self.is_cut => {
                    self.repeated.push(step);
                    Ok(())
                }
                _ => Err((Law::Versions, format!("another version {} is known", order.version))),
            };
        }
        if status.is_some_and(is_terminal) {
            let why = format!("{} follows a terminal status", order.transition);
            return Err((Law::Terminal, why));
        }
        let is_first = self.is_cut && self.steps.is_empty();
        if order.version != known + 1 && !is_first {
            return Err((Law::Versions, format!("version {} follows {known}", order.version)));
        }
        let row = TABLE.iter().find(|row| {
            (row.1, row.2) == (order.transition, order.status) && (is_first || row.0 == status)
        });
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

    /// The first transition of all, if the log still has it.
    pub(crate) fn first(&self) -> Option<Step<'a>> {
        self.steps.first().copied().filter(|_| !self.is_cut)
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
