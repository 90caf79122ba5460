//! [`Case`]: the evidence, put in order.

use crate::{
    dead_letters::DeadLetters,
    evidence::{Evidence, Logged},
    history::History,
};
use contracts::{
    Order, OrderId, Timestamp,
    topics::{Cleanup, TopicSpec},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How much earlier than a topic's retention says its records may go: brokers delete whole
/// segments.
const RETENTION_MARGIN: Duration = Duration::from_secs(60 * 60);

/// The evidence with what several laws need of it.
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) dead_letters: DeadLetters<'a>,
    /// What happened to each order.
    pub(crate) histories: BTreeMap<OrderId, History<'a>>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let dead_letters = DeadLetters::new(evidence);
        let mut by_order: BTreeMap<OrderId, Vec<&Logged<Arc<Order>>>> = BTreeMap::new();
        for record in &evidence.log.orders {
            if let Ok(order_id) = record.key.parse() {
                by_order.entry(order_id).or_default().push(record);
            }
        }
        let at_rest = |at: Timestamp| at + evidence.grace <= evidence.taken_at;
        let fold = |(order_id, records): (OrderId, Vec<&'a Logged<Arc<Order>>>)| {
            (order_id, History::fold(&order_id.to_string(), &records, &dead_letters, at_rest))
        };
        let histories = by_order.into_iter().map(fold).collect();
        Self { evidence, dead_letters, histories }
    }

    /// Whether records of `topic` that were written `at` this time are still on it: only then their
    /// absence means something.
    pub(crate) fn is_kept(&self, topic: &TopicSpec, at: Timestamp) -> bool {
        match topic.cleanup {
            Cleanup::Keep | Cleanup::Compact => true,
            Cleanup::Delete { retention_ms } => {
                let kept = Duration::from_millis(u64::try_from(retention_ms).unwrap_or(0));
                at + kept.saturating_sub(RETENTION_MARGIN) > self.evidence.taken_at
            }
        }
    }
}
