//! [`DeadLetters`]: the readers that refused each record.

use crate::evidence::Evidence;
use contracts::ServiceName::{self, Email, Inventory, Orders, Payments, View};
use std::collections::{BTreeMap, BTreeSet};

/// Each topic with the services that dead-letter its unreadable records. A service that only
/// follows a topic for clients that wait, or reads its own changelog back, is not among them, nor
/// is one that the shop need not have. This is the auditor's own knowledge; a test compares it.
const READERS: [(&str, &[ServiceName]); 9] = [
    ("orders", &[Orders, Payments, Inventory, View]),
    ("orders.commands", &[Orders]),
    ("orders.refusals", &[View]),
    ("order-validations", &[Orders]),
    ("inventory.commands", &[Inventory]),
    ("stock", &[View]),
    ("catalog.products", &[Orders, Inventory, View]),
    ("catalog.customers", &[Orders]),
    ("order-views", &[Email]),
];

/// The services that dead-letter the unreadable records of `topic`. Where there is none, an
/// unreadable record never becomes a dead letter.
pub(crate) fn readers(topic: &str) -> &'static [ServiceName] {
    READERS.iter().find(|(name, _)| *name == topic).map_or(&[], |(_, readers)| *readers)
}

/// The readers that refused each record.
pub(crate) struct DeadLetters<'a> {
    by_origin: BTreeMap<&'a str, BTreeSet<ServiceName>>,
}

impl<'a> DeadLetters<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let mut by_origin: BTreeMap<&str, BTreeSet<ServiceName>> = BTreeMap::new();
        for dead_letter in &evidence.dead_letters {
            by_origin.entry(&dead_letter.origin).or_default().insert(dead_letter.service);
        }
        Self { by_origin }
    }

    /// The services that have dead-lettered the record at `address`.
    pub(crate) fn of(&self, address: &str) -> BTreeSet<ServiceName> {
        self.by_origin.get(address).cloned().unwrap_or_default()
    }

    /// Whether `service` has dead-lettered the record at `address`.
    pub(crate) fn has(&self, address: &str, service: ServiceName) -> bool {
        self.by_origin.get(address).is_some_and(|services| services.contains(&service))
    }

    /// Whether any service has.
    pub(crate) fn has_any(&self, address: &str) -> bool {
        self.by_origin.contains_key(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::topics;
    use std::collections::BTreeSet;

    /// An optional service writes no dead letters while it is off.
    #[test]
    fn the_readers_are_those_of_the_table() {
        for topic in topics::ALL {
            let by_default = ServiceName::by_default();
            let handles = |service: &ServiceName| {
                service.spec().handles().any(|handled| handled.name == topic.name)
            };
            let expected: BTreeSet<_> = by_default.filter(handles).collect();
            let known: BTreeSet<_> = readers(topic.name).iter().copied().collect();
            assert_eq!(known, expected, "{topic:?}");
        }
    }
}
