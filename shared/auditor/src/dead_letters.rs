//! [`DeadLetters`]: the readers that refused each record.

use crate::{
    evidence::{Evidence, Logged},
    retained::Retained,
};
use contracts::{
    Order,
    ServiceName::{self, Email, Inventory, Orders, Payments, View},
    Status, Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    ("catalog.customers", &[Orders, View]),
    ("order-views", &[Email]),
];

/// The services that dead-letter the unreadable records of `topic`. Where there is none, an
/// unreadable record never becomes a dead letter.
pub(crate) fn readers(topic: &str) -> &'static [ServiceName] {
    READERS.iter().find(|(name, _)| *name == topic).map_or(&[], |(_, readers)| *readers)
}

/// Whether a transition to `status` that can be read makes `service` do anything. One that it
/// passes over does no harm there, and has no dead letter.
fn acts_upon(service: ServiceName, status: Status) -> bool {
    use Status::{Cancelled, Confirmed, RefundDue, Rejected, Requested, Validated};
    match service {
        Payments => [Validated, RefundDue].contains(&status),
        Inventory => [Requested, Rejected, Cancelled, RefundDue, Confirmed].contains(&status),
        _ => true,
    }
}

/// What the readers of a record on `orders` that can be read made of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    /// These refused it, readers that need not be there as well.
    pub(crate) by: BTreeSet<ServiceName>,
    /// These act upon such a record, and did not refuse it.
    pub(crate) taken_by: Vec<ServiceName>,
    /// What these made of it is not known any more: their dead letters of that time were deleted.
    pub(crate) unknown: Vec<ServiceName>,
}

impl Refusals {
    /// Whether all who would act upon it refused it, as far as that is known.
    pub(crate) fn is_refused(&self) -> bool {
        self.taken_by.is_empty() && !self.by.is_empty()
    }
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

    /// Whether the dead letters of the readers of `topic` are all there, of a record that was
    /// written `at` this time: a dead letter comes after its record. Where there is no reader, an
    /// operator writes the letter, for any service.
    pub(crate) fn are_known(&self, topic: &str, at: Timestamp, retained: &Retained<'_>) -> bool {
        let writers = match readers(topic) {
            [] => &ServiceName::ALL[..],
            readers => readers,
        };
        writers.iter().all(|writer| is_known(*writer, at, retained))
    }

    /// What the readers made of a record on `orders`.
    pub(crate) fn on_orders(
        &self,
        record: &Logged<Arc<Order>>,
        retained: &Retained<'_>,
    ) -> Refusals {
        let by = self.of(&record.address("orders"));
        let mut refusals = Refusals { by, ..Refusals::default() };
        for reader in readers("orders") {
            let acts = record.read().is_none_or(|order| acts_upon(*reader, order.status));
            if refusals.by.contains(reader) || !acts {
                continue;
            }
            match is_known(*reader, record.timestamp, retained) {
                true => refusals.taken_by.push(*reader),
                false => refusals.unknown.push(*reader),
            }
        }
        refusals
    }
}

/// Whether all dead letters of `service` since this time are there.
fn is_known(service: ServiceName, at: Timestamp, retained: &Retained<'_>) -> bool {
    retained.all_have_since(contracts::topics::dlq(service).name, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::topics::{self, ORDERS};
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

    #[test]
    fn a_reader_acts_upon_what_the_table_says() {
        for reader in readers("orders") {
            for status in Status::ALL {
                let mut flows =
                    reader.spec().flows().filter(|flow| flow.from.name == ORDERS.name());
                let expected = flows.any(|flow| flow.acts_upon(status.as_str()));
                assert_eq!(acts_upon(*reader, status), expected, "{reader} and {status}");
            }
        }
    }
}
