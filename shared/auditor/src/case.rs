//! [`Case`]: the evidence, put in order.

use crate::{
    dead_letters::DeadLetters,
    evidence::{Evidence, Logged},
    history::History,
    retained::Retained,
};
use contracts::{Order, OrderId, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

/// The evidence with what several laws need of it.
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) retained: Retained<'a>,
    pub(crate) dead_letters: DeadLetters<'a>,
    /// What happened to each order.
    pub(crate) histories: BTreeMap<OrderId, History<'a>>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let retained = Retained::new(evidence);
        let dead_letters = DeadLetters::new(evidence);
        let mut by_order: BTreeMap<OrderId, Vec<&Logged<Arc<Order>>>> = BTreeMap::new();
        for record in &evidence.log.orders {
            if let Ok(order_id) = record.key.parse() {
                by_order.entry(order_id).or_default().push(record);
            }
        }
        let at_rest = |at: Timestamp| at + evidence.grace <= evidence.taken_at;
        let fold = |(order_id, records): (OrderId, Vec<&'a Logged<Arc<Order>>>)| {
            let key = order_id.to_string();
            let whole = retained.is_whole("orders", &key);
            let refusals = |record: &Logged<Arc<Order>>| dead_letters.on_orders(record, &retained);
            (order_id, History::fold(&key, &records, whole, refusals, at_rest))
        };
        let mut histories: BTreeMap<OrderId, History<'_>> =
            by_order.into_iter().map(fold).collect();
        for latest in evidence.log.orders_latest.iter().filter_map(Logged::read) {
            if let Some(history) = histories.get_mut(&latest.order_id) {
                history.know_of(latest.version);
            }
        }
        Self { evidence, retained, dead_letters, histories }
    }

    /// Whether the dead letters of a record that was written `at` this time are all there.
    pub(crate) fn has_letters_since(&self, topic: &str, at: Timestamp) -> bool {
        self.dead_letters.are_known(topic, at, &self.retained)
    }
}
